"""`--json` of `dpbench list` and `dpbench show`: what their pages say, for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import events
import pytest
from calling import call

from dpbench import METHODS, METRICS, RunRequest
from dpbench.benchmark.commands.method_plan import method_plan


def printed(*arguments: object) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_list_has_names_and_summaries(tiny: Path) -> None:
    assert printed("list", "metrics") == {"metrics": {name: METRICS.summary(name) for name in METRICS.names()}}
    everything = printed("list")
    assert [*everything] == [
        "methods",
        "datasets",
        "public",
        "metrics",
        "refiners",
        "extractors",
        "text-encoders",
        "generators",
    ]
    assert "tiny-public" in everything["public"]
    assert "tiny-public" not in everything["datasets"]


def test_show_has_settings_with_their_origins(tiny: Path) -> None:
    shown = printed("show", "fake[batch=20]", "--dataset", "tiny", "--preset", "loud", "--set", "levels=2")
    (method,) = shown["plugins"]
    assert (method["kind"], method["name"], method["facts"]["track"]) == ("method", "fake", "images")
    found = {
        setting["key"]: (setting["value"], setting["default"], setting["origin"]) for setting in method["settings"]
    }
    assert found["spread"] == (30.0, 5.0, "loud/tiny")
    assert found["batch"] == (20, 0, "--set")
    assert found["levels"] == (2, 1, "--set")
    assert found["fail"] == ("", "", "")
    assert method["presets"]["loud"] == {"settings": {"spread": 20.0}, "tuning": "public data"}
    assert shown["plans"] == []


@pytest.mark.parametrize("name", METHODS.names())
def test_show_has_the_presets_of_every_method(name: str) -> None:
    (method,) = (plugin for plugin in printed("show", name)["plugins"] if plugin["kind"] == "method")
    expected = {preset: dict(of.settings) for preset, of in METHODS.get(name).presets.items()}
    found = {preset: of["settings"] for preset, of in method["presets"].items()}
    assert found == json.loads(json.dumps(expected))


def test_show_has_plans(tiny: Path) -> None:
    (plan, loose) = printed("show", "fake", "--dataset", "tiny", "--eps", "1,inf", "--delta", "1e-6")["plans"]
    expected = method_plan(RunRequest("fake", "tiny", delta=1e-6), 1).plan
    assert (plan["epsilon"], plan["epsilon_spent"], plan["mu"]) == (1.0, expected.epsilon, expected.mu)
    (mechanism,) = plan["mechanisms"]
    assert mechanism["noise_multiplier"] == expected.mechanisms[0].noise_multiplier
    assert (mechanism["name"], mechanism["kind"], mechanism["releases"]) == ("mean", "NoisySum", 1)
    assert (loose["epsilon"], loose["mechanisms"][0]["noise_multiplier"]) == ("inf", 0.0)
    assert events.EVENTS == []


def test_show_has_what_a_dataset_declares_and_what_a_metric_fills(tiny: Path) -> None:
    (dataset,) = printed("show", "mnist", "--resolution", "28")["plugins"]
    assert (dataset["spec"]["n_train"], dataset["spec"]["resolution"], dataset["settings"]) == (60_000, 28, None)
    (metric,) = printed("show", "classy")["plugins"]
    assert metric["columns"] == [{"name": "classy", "better": "high", "help": "share of labels", "ranked_by": ""}]
    assert [plugin["kind"] for plugin in printed("show", "texture")["plugins"]] == ["metric", "extractor"]

"""Mistakes in the declarations of a plugin are one line that names it, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import events
import fakes
import pytest
from record import recorded

import dpbench
from dpbench import METHODS, METRICS, Column, Preset
from dpbench.core import folders
from dpbench.core.errors import DpbenchError


class NoDataclass:
    """Settings without @dataclass."""

    steps = 3


@dataclass(frozen=True)
class Settings:
    steps: int = 3


def method(**attributes: Any) -> Any:
    return type("Mine", (fakes.FakeMean,), attributes)


def no_spec(self: Any, config: Any) -> None: ...


def fails(*_: object) -> None:
    raise AttributeError("'Settings' object has no attribute 'stepps'")


METHOD_MISTAKES: list[tuple[Any, str]] = [
    (NoDataclass, r"method 'mine' must be a subclass of dpbench\.Method, not <class"),
    (lambda: None, r"method 'mine' must be a subclass of dpbench\.Method, not <function"),
    (type("Half", (dpbench.Method,), {"fit": fails}), "method 'mine' does not define plan, sample"),
    (method(__init__=no_spec), r"method 'mine': its constructor must accept \(config, spec\): too many positional"),
    (method(Config=NoDataclass), "method 'mine': Config must be a dataclass; put @dataclass"),
    (method(Config=Settings()), "method 'mine': Config must be a dataclass"),
    (method(presets=["small"]), "method 'mine': presets must map names to Preset"),
    (method(presets={"small": {"steps": 3}}), r"method 'mine': preset 'small' must be Preset\(.*, not {'steps': 3}"),
    (method(presets={"small": Preset(("steps", 3))}), "method 'mine': preset 'small' must be Preset"),
    (
        method(presets={"small": Preset(), "paper": Preset({"spred": 3})}),
        "method 'mine', preset 'paper': unknown setting 'spred'; did you mean spread",
    ),
    (method(presets={"small": Preset({"spread": "wide"})}), "method 'mine', preset 'small': setting spread=wide"),
    (method(plan=classmethod(lambda cls, config, spec, request: None)), "Mine.plan must return a Plan, not None"),
    (method(plan=classmethod(fails)), "Mine.plan failed: AttributeError: 'Settings' object has no attribute 'stepps'"),
]


@pytest.mark.parametrize(("plugin", "message"), METHOD_MISTAKES, ids=[said for _, said in METHOD_MISTAKES])
def test_mistake_of_a_method_is_one_line(tiny: Path, plugin: Any, message: str) -> None:
    METHODS.register("mine")(plugin)
    with pytest.raises(DpbenchError, match=message) as caught:
        dpbench.run("mine", "tiny", public="tiny-public", samples=10, delta=1e-6, metrics=["brightness"], out=tiny)
    assert "\n" not in str(caught.value)
    assert recorded() == events.EVENTS == []
    assert not tiny.exists()


def compute(self: Any, evaluation: Any) -> Mapping[str, float]:
    return {}


METRIC_MISTAKES: list[tuple[Any, str]] = [
    (NoDataclass, r"metric 'mine' must be a subclass of dpbench\.Metric"),
    (type("Half", (dpbench.Metric,), {}), "metric 'mine' does not define compute"),
    (type("None_", (dpbench.Metric,), {"compute": compute}), "metric 'mine' declares no column"),
    (
        type("Text", (dpbench.Metric,), {"compute": compute, "columns": ("score",)}),
        r"metric 'mine': columns must be a tuple of Column\(...\), not \('score',\)",
    ),
    (
        type("By", (dpbench.Metric,), {"compute": compute, "columns": (Column("a", "low", "", ranked_by="b"),)}),
        "metric 'mine': 'a' is ranked by 'b', which is not one of its columns",
    ),
    (
        type("One", (dpbench.Metric,), {"compute": compute, "columns": Column("score", "low", "")}),
        "metric 'mine': columns must be a tuple of Column",
    ),
    (type("Needy", (fakes.Brightness,), {"__init__": no_spec}), r"metric 'mine': its constructor must accept \(\)"),
]


@pytest.mark.parametrize(("plugin", "message"), METRIC_MISTAKES, ids=[said for _, said in METRIC_MISTAKES])
def test_mistake_of_a_metric_is_one_line(tiny: Path, plugin: Any, message: str) -> None:
    METRICS.register("mine")(plugin)
    with pytest.raises(DpbenchError, match=message):
        dpbench.run("fake", "tiny", public="tiny-public", samples=10, delta=1e-6, metrics=["mine"], out=tiny)
    assert recorded() == events.EVENTS == []


@pytest.mark.parametrize("variable", ["DPBENCH_CACHE", "DPBENCH_STATE"])
def test_unwritable_folder_of_the_user_is_found_first(
    tiny: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tiny.parent / "file"
    file.write_text("")
    monkeypatch.setenv(variable, str(file / "below"))
    with pytest.raises(DpbenchError, match=r"cannot write to .*below: .*file is not a folder"):
        dpbench.run("fake", "tiny", public="tiny-public", samples=10, delta=1e-6, metrics=["brightness"], out=tiny)
    assert events.EVENTS == []


def test_samples_that_do_not_fit_are_refused_before_training(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda path: folders.shutil._ntuple_diskusage(10, 5, 5000))
    request = {"public": "tiny-public", "delta": 1e-6, "metrics": ["brightness"], "references": (), "out": tiny}
    with pytest.raises(DpbenchError, match=r"the samples of 2 trials need 5\.1 kB, but .* has 5\.0 kB free"):
        dpbench.run("fake", "tiny", samples=10, seeds=2, **request)
    assert events.EVENTS == ["train"]
    dpbench.run("fake", "tiny", samples=10, **request)

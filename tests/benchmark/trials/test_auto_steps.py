"""`steps=auto` and `dpbench privacy --propose`: measured once, on public data only, within the compute limit."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import events
import fakes
import pandas as pd
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

import dpbench
from dpbench import DPSGD, Batch, Budget, Conditions, DPSGDSettings, Method, Plan, option
from dpbench.benchmark.commands.method_plan import method_plan
from dpbench.benchmark.commands.proposals import propose
from dpbench.benchmark.configure import Configured, configure
from dpbench.benchmark.processes import Processes
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.auto_steps import Planner, variants
from dpbench.cli.pages.proposal_page import proposal_page
from dpbench.core.data import DataOptions
from dpbench.core.errors import ConfigError, DpbenchError
from dpbench.core.progress import Quiet
from dpbench.models.image_range import to_unit
from dpbench.privacy.planner import Gradients, best
from dpbench.training.loop import train

BATCH, STEPS = 40, 12


@dataclass(frozen=True)
class SteppingConfig(DPSGDSettings):
    batch: int = option(BATCH, "expected records per private step (Poisson)")
    steps: int = option(STEPS, "private steps")
    trainable: Literal["all", "last"] = option("all", "which weights are trained")


class Stepping(Method):
    """A network with two layers that learns the brightness of images."""

    Config = SteppingConfig
    track = "images"

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        return Plan(config.mechanism("steps", spec))

    def prepare(self, public, run) -> None:
        events.EVENTS.append("prepare")
        self.model = nn.Sequential(nn.Linear(256, 8), nn.Linear(8, 2))
        self.model[0].requires_grad_(self.config.trainable == "all")

    def fit(self, private, run) -> None:
        events.EVENTS.append("fit")
        optimizer = torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad], self.config.lr)

        def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            pixels = to_unit(batch.images).flatten(1)
            return (model(pixels)[:, 0] - pixels.mean(1)).square()

        steps = private.dp_sgd("steps", self.model, loss, optimizer, run.generator, **self.config.stepper_options())
        train(
            steps, self.model, optimizer, run, "private steps", note=lambda: f"ε {private.ledger.epsilon_spent():.2f}"
        )

    def sample(self, conditions: Conditions, run) -> Tensor:
        return torch.zeros(conditions.count, *self.spec.shape, dtype=torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self.model.state_dict())


class Alone(Stepping):
    track = "none"

    def prepare(self, public, run) -> None:
        assert public is None
        super().prepare(public, run)


class Stubborn(Stepping):
    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        return Plan(replace(config, steps=3).mechanism("steps", spec))


def about(plan: Plan, budget: Budget) -> float:
    """A fast approximation of the noise scale for ε: a minimum plus a term that grows with rate · √steps."""
    (m,) = (m for m in plan.mechanisms if isinstance(m, DPSGD))
    return 0.4 + 5 * m.sampling_rate * math.sqrt(m.steps) / budget.epsilon


@pytest.fixture
def stepping(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("dpbench.privacy.planner.rough_scale", about)
    monkeypatch.setattr("dpbench.privacy.public_gradients.GROUPS", 5)
    for name, method in {"stepping": Stepping, "stepping-alone": Alone, "stubborn": Stubborn}.items():
        dpbench.METHODS.register(name)(method)
    return tiny


@pytest.fixture
def sealed(stepping: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sensitive dataset cannot be opened."""

    def refuse(self: fakes.Tiny) -> None:
        raise AssertionError("the sensitive dataset was opened")

    monkeypatch.setattr(fakes.Tiny, "open_train", refuse)
    monkeypatch.setattr(fakes.Tiny, "open_test", refuse)
    return stepping


def planner(folder: Path, dataset: str = "tiny", public: str = "tiny-public") -> Planner:
    request = dpbench.RunRequest((), dataset, public=public, samples=10, delta=1e-6, device="cpu")
    return Planner(Session.on(request, Processes("cpu"), "fp32", Quiet()))


def method(name: str = "stepping", **settings: Any) -> Configured:
    (chosen,) = configure([name], "tiny", "small", settings)
    return chosen


def run(out: Path, methods: Sequence[str] = ("stepping",), **options: Any) -> pd.DataFrame:
    defaults = {
        "dataset": "tiny",
        "public": "tiny-public",
        "samples": 10,
        "delta": 1e-6,
        "metrics": ["brightness"],
        "references": (),
    }
    return dpbench.run(methods, out=out, device="cpu", **(defaults | {"settings": {"steps": "auto"}} | options))


def test_proposal_opens_no_sensitive_data_and_keeps_the_compute(sealed: Path) -> None:
    found = planner(sealed).judge(method(), 3.0)
    assert len({c.mechanism.expected_batch for c in found}) > 2
    for c in found:
        assert c.mechanism.expected_batch * c.mechanism.steps <= BATCH * STEPS
        assert c.gradients.weights == 256 * 8 + 8 + 8 * 2 + 2
        assert c.gradients.signal > 0


def test_compute_includes_views(sealed: Path) -> None:
    assert max(c.mechanism.steps for c in planner(sealed).judge(method(views=2), 3.0, compute=160)) == 160 // 2 // 32


def test_gradients_are_measured_for_every_kind_of_trained_weights(sealed: Path) -> None:
    kinds = variants(method())
    assert {name: kind.config.trainable for name, kind in kinds.items()} == {"all": "all", "last": "last"}
    found = {name: planner(sealed).judge(kind, 3.0) for name, kind in kinds.items()}
    assert [cs[0].gradients.weights for cs in found.values()] == [2074, 18]
    assert best(found["all"]).progress != best(found["last"]).progress
    assert list(variants(method("fake"))) == ["all"]


def test_page_marks_the_best_and_prints_its_settings(sealed: Path) -> None:
    found = list(
        propose(dpbench.RunRequest("stepping", "tiny", [0.5, 3.0], public="tiny-public", delta=1e-6, device="cpu"))
    )
    assert len(found) == 2
    for proposal in found:
        console = Console(width=120, file=io.StringIO())
        console.print(proposal_page(proposal))
        text = console.file.getvalue()
        (batch, steps, kind), *more = re.findall(r"--set batch=(\d+) --set steps=(\d+) --set trainable=(\w+)", text)
        assert not more
        weights = {"all": "2,074", "last": "18"}[kind]
        assert re.search(rf"best +{kind} +{weights} +{batch} +{steps} +[\d.]+ +[\d.]+ +1\.00", text)
        assert len(re.findall(rf"as set +all +2,074 +{BATCH} +{STEPS}", text)) == ((kind, batch) != ("all", str(BATCH)))
        assert "last" in text


def test_auto_is_stored_as_numbers_in_trial_and_row(stepping: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Gradients(weights=2074, signal=0.6, rms=0.8, pull=0.6)  # strong signal, so that the noise decides
    monkeypatch.setattr(Planner, "measure", lambda *_: measured)
    rows = run(stepping, epsilons=[0.5, 20.0], references=["public", "nonprivate"]).set_index("epsilon")
    configs = rows["config"].map(json.loads)
    for epsilon in (0.0, math.inf):
        assert (configs[epsilon]["batch"], configs[epsilon]["steps"]) == (BATCH, STEPS)
        assert rows.loc[epsilon, "tuning"] == "untuned"
    for epsilon in (0.5, 20.0):
        assert configs[epsilon]["batch"] * configs[epsilon]["steps"] <= BATCH * STEPS
        assert rows.loc[epsilon, "tuning"] == "untuned; planner on tiny-public"
        (ledger,) = stepping.glob(f"*/*/{rows.loc[epsilon, 'key']}/ledger.json")
        (mechanism,) = json.loads(ledger.read_text())["mechanisms"]
        assert mechanism["releases_spent"] == configs[epsilon]["steps"]
        assert mechanism["sampling_rate"] == configs[epsilon]["batch"] / 200
    assert configs[0.5]["batch"] > configs[20.0]["batch"]


def test_auto_gives_the_same_trial_as_explicit_settings(stepping: Path) -> None:
    chosen = run(stepping).iloc[0]
    config = json.loads(chosen["config"])
    by_hand = run(stepping, settings={key: config[key] for key in ("batch", "steps")}).iloc[0]
    assert by_hand["key"] == chosen["key"]


def test_measurement_is_cached_and_reproducible(stepping: Path) -> None:
    first = run(stepping, seeds=2)
    assert events.EVENTS.count("fit") == 3  # one rehearsal and two trials
    again = run(stepping, seeds=2)
    assert events.EVENTS.count("fit") == 3
    shutil.rmtree(stepping.parent / "cache/public")
    anew = run(stepping, seeds=2)
    assert events.EVENTS.count("fit") == 4
    assert first["key"].tolist() == again["key"].tolist() == anew["key"].tolist()


def test_method_without_public_data_is_measured_on_the_public_source(stepping: Path) -> None:
    row = run(stepping, ["stepping-alone"]).iloc[0]
    assert (row["public_source"], row["track"]) == ("", "none")
    assert row["tuning"] == "untuned; planner on tiny-public"


def test_sources_to_choose_from_are_measured_together(stepping: Path) -> None:
    sources = "auto[noise=5.0]:tiny-public,tiny-public:labelled"
    row = run(stepping, public=sources).iloc[0]
    assert row["tuning"] == f"untuned; planner on {sources}"
    assert row["public_choice"].startswith("tiny-public")
    assert row["queries"] == 1 + json.loads(row["config"])["steps"]


def test_configured_batch_sets_the_compute(sealed: Path) -> None:
    auto = method(steps="auto", batch=20)
    assert auto.auto
    planned = planner(sealed).at(auto, 3.0).config
    assert planned.batch * planned.steps <= 20 * STEPS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dp-merf", "method 'dp-merf': the planner plans one DP-SGD mechanism; this plan has none"),
        ("stubborn", "method 'stubborn' has no settings batch and steps that control its DP-SGD"),
        ("fake", "unknown setting 'steps'"),
    ],
)
@pytest.mark.parametrize("epsilon", [1.0, math.inf])
def test_methods_without_dp_sgd_raise_an_error(stepping: Path, name: str, message: str, epsilon: float) -> None:
    with pytest.raises(DpbenchError, match=message):
        run(stepping, [name], epsilons=[epsilon])
    assert not stepping.exists()
    assert "fit" not in events.EVENTS


def test_show_with_auto_points_to_the_proposal(stepping: Path) -> None:
    with pytest.raises(ConfigError, match="`dpbench privacy stepping --propose` shows how"):
        method_plan(dpbench.RunRequest("stepping", "tiny", settings={"steps": "auto"}), 1.0)


@pytest.mark.parametrize("phase", ["plan", "prepare", "fit"])
def test_rehearsal_does_not_open_the_sensitive_dataset(stepping: Path, phase: str) -> None:
    def peek(self: Stepping, *arguments: Any) -> Any:
        fakes.Tiny("", DataOptions(stepping)).train()
        return getattr(Stepping, phase)(self, *arguments)

    dpbench.METHODS.register("peeking")(type("Peeking", (Stepping,), {phase: peek}))
    with pytest.raises(DpbenchError, match="while a method"):
        planner(stepping).judge(method("peeking"), 3.0)


def test_sensitive_dataset_as_public_source_raises_an_error(sealed: Path) -> None:
    with pytest.raises(DpbenchError, match="never both public and sensitive"):
        planner(sealed, public="tiny").judge(method(), 1.0)


def test_crashed_rehearsal_gives_a_one_line_error(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("it broke\nin two lines")

    monkeypatch.setattr(Stepping, "fit", crash)
    with pytest.raises(DpbenchError, match=r"rehearsal of 'stepping' on public data failed: RuntimeError: it broke$"):
        planner(sealed).measure(method())


NETWORK = {"channels": "[32]", "steps": 4, "batch": 20, "sampling_steps": 2, "patch": 4}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("wavelet", {"levels": 1, "codes": 8, "tokenizer_steps": 3, "tokenizer_dim": 8,
    "dim": 16, "depth": 1, "heads": 2, "public_steps": 3, "public_batch": 8,
                     "batch": 20, "steps": 4, "refiner.steps": 1}),
        ("dp-ar", {"codes": 8, "tokenizer_steps": 3, "tokenizer_dim": 8, "dim": 16, "depth": 1, "heads": 2,
                   "public_steps": 3, "public_batch": 8, "batch": 20, "steps": 4}),
        ("dp-sgd", {**NETWORK, "public_steps": 2, "public_batch": 8}),
        ("privimage", {**NETWORK, "votes": 1, "classifier_steps": 2, "classifier_batch": 8,
                       "public_steps": 2, "public_batch": 8, "selected_steps": 2}),
        ("dpdm", {**NETWORK, "views": 2}),
        ("dp-feta", {**NETWORK, "warmup_steps": 2, "warmup_batch": 8}),
        ("dp-feta-pro", {**NETWORK, "warmup_steps": 2, "warmup_batch": 8, "features": 40, "generator_steps": 2,
                         "generated_images": 20, "generated_steps": 2, "generated_batch": 8}),
    ],
)  # fmt: skip
def test_every_dp_sgd_method_can_be_rehearsed(sealed: Path, name: str, settings: dict[str, Any]) -> None:
    gradients = planner(sealed, public="tiny-public:labelled").measure(method(name, **settings))
    assert gradients.weights > 1000
    assert 0 < gradients.signal <= gradients.pull
    assert gradients.rms > 0

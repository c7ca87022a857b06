"""Trials share no state: no value of one trial reaches another trial with another budget."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import fakes
import pytest
import torch
from torch import nn

import dpbench
from dpbench import METHODS
from dpbench.benchmark.trials.shared_state import unchanged
from dpbench.core.errors import PrivacyError
from dpbench.core.plugin_files import load_plugin


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """A plugin module with every kind of place where a class can keep a value."""
    module = ModuleType("some_plugin")
    sys.modules["some_plugin"] = module
    source = """
import torch
from torch import nn
from types import SimpleNamespace

BEST = None
SEEN = []
NETWORK = nn.Linear(2, 2)
HOLDER = SimpleNamespace(value=torch.zeros(2))
GENERATOR = torch.Generator()

class Memory:
    def __init__(self):
        self.images = {}

MEMORY = Memory()

def counter():
    count = 0
    def step():
        nonlocal count
        count += 1
    return step

COUNT = counter()

def remember(value, kept=[]):
    kept.append(value)

class Base:
    weights = None
    table = {}

class Plugin(Base):
    pass
"""
    exec(compile(source, "some_plugin.py", "exec"), vars(module))
    yield module
    del sys.modules["some_plugin"]


def set_default(module: Any) -> None:
    module.remember(3)


def step(module: Any) -> None:
    with torch.no_grad():
        module.NETWORK.weight += 1


CHANGES: dict[str, Callable[[Any], object]] = {
    "some_plugin.BEST": lambda m: setattr(m, "BEST", 0.5),
    "some_plugin.SEEN": lambda m: m.SEEN.append(3),
    "some_plugin.NETWORK": step,
    "some_plugin.HOLDER": lambda m: m.HOLDER.value.add_(1),
    "some_plugin.GENERATOR": lambda m: torch.rand(1, generator=m.GENERATOR),
    "some_plugin.MEMORY": lambda m: m.MEMORY.images.update(a=torch.ones(2)),
    "some_plugin.COUNT": lambda m: m.COUNT(),
    "some_plugin.remember": set_default,
    "Base.weights": lambda m: setattr(m.Base, "weights", torch.ones(3)),
    "Base.table": lambda m: m.Base.table.setdefault(1, 2),
    "Plugin.weights": lambda m: setattr(m.Plugin, "weights", torch.ones(3)),
    "some_plugin.NEW": lambda m: setattr(m, "NEW", nn.Identity()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_of_shared_state_are_detected(module: Any, name: str) -> None:
    with pytest.raises(PrivacyError, match=f"changed {name},"), unchanged(module.Plugin):
        CHANGES[name](module)


def test_unchanged_state_is_accepted(module: Any) -> None:
    with unchanged(module.Plugin):
        module.Plugin().weights = torch.ones(3)  # instance state is allowed
        module.NETWORK(torch.ones(2))


def test_all_modules_of_a_package_are_watched(tmp_path: Path, registries: None) -> None:
    sources = {
        "__init__": "from .method import Mine",
        "method": "from dpbench import REFINERS, Refiner\nfrom . import memory\n@REFINERS.register('mine')\n"
        "class Mine(Refiner):\n    def refine(self, coarse, size, run): ...",
        "memory": "SEEN = []",
        "later": "NEW = []",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    package = load_plugin(tmp_path)
    plugin = package.Mine
    with unchanged(plugin):
        importlib.import_module(".later", package.__name__)
    with pytest.raises(PrivacyError, match=r"memory\.SEEN"), unchanged(plugin):
        package.memory.SEEN.append(1)


class Greedy(fakes.FakeAlone):
    """Keeps the mean image of the trial with the largest budget."""

    best: Any = None

    def fit(self, private, run) -> None:
        super().fit(private, run)
        type(self).best = self.mean


class Greedier(fakes.FakeAlone):
    """Keeps it while sampling."""

    best: Any = None

    def sample(self, conditions, run) -> torch.Tensor:
        type(self).best = self.mean
        return super().sample(conditions, run)


@pytest.mark.parametrize("method", [Greedy, Greedier])
def test_method_that_keeps_state_between_trials_raises_an_error(tiny: Path, method: type) -> None:
    METHODS.register("greedy")(method)
    with pytest.raises(PrivacyError, match=f"changed {method.__name__}.best"):
        dpbench.run(
            "greedy", "tiny", [10.0, 0.5], delta=1e-6, samples=5, metrics=["brightness"], device="cpu", out=tiny
        )
    assert not list(tiny.rglob("trial.json"))


class Caching(fakes.FakeAlone):
    """Keeps a noisy sum in the public cache, so that the release of one budget would get into the row of another."""

    where = "fit"

    def prepare(self, public, run) -> None:
        self.kept = run.cache

    def fit(self, private, run) -> None:
        super().fit(private, run)
        if self.where == "fit":
            self.mean = run.cache.get("mean", "key", lambda generator: {"mean": self.mean})["mean"]

    def sample(self, conditions, run) -> torch.Tensor:
        cache = self.kept if self.where == "kept from prepare" else run.cache
        self.mean = cache.get("mean", "key", lambda generator: {"mean": self.mean})["mean"]
        return super().sample(conditions, run)


@pytest.mark.parametrize("where", ["fit", "sample", "kept from prepare"])
def test_public_cache_opens_only_in_prepare(tiny: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    METHODS.register("caching")(Caching)
    monkeypatch.setattr(Caching, "where", where)
    with pytest.raises(PrivacyError, match=r"run\.cache is open only in prepare"):
        dpbench.run("caching", "tiny", references=(), delta=1e-6, samples=5, metrics=["brightness"], out=tiny)
    assert not list((tiny / "../cache").rglob("mean-*"))


def test_metrics_store_nothing_in_the_public_cache(tiny: Path) -> None:
    class Storing(fakes.Brightness):
        columns = (dpbench.Column("storing", "low", ""),)

        def compute(self, evaluation):
            return {"storing": evaluation.run.cache.get("x", "key", lambda generator: {"x": torch.ones(1)})["x"].item()}

    dpbench.METRICS.register("storing")(Storing)
    with pytest.raises(PrivacyError, match=r"run\.cache is open only in prepare"):
        dpbench.run("fake", "tiny", references=(), delta=1e-6, samples=5, metrics=["storing"], out=tiny)
    assert not list((tiny / "../cache").rglob("x-*"))

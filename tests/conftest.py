"""Fixtures that several parts share."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import events
import fakes
import pytest
from temporary import temporary

from dpbench import DATASETS, EXTRACTORS, GENERATORS, METHODS, METRICS, REFINERS, TEXT_ENCODERS
from dpbench.models.pretrained import finding

PLACES = finding.places


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """One thread in each process of `pytest -n`, which has as many processes as it wants to use cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure() -> None:
    """Ctrl-C reaches this process and those that tests start, also if the shell started it with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Takes modules and tests out of garbage collections, of which the checks of closures cause many."""
    gc.freeze()


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides pretrained weights that the machine may have."""
    monkeypatch.setattr(finding, "places", lambda file: [])


@pytest.fixture
def empty_caches(no_weights: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are looked for again, in folders below `tmp_path` called like the variables that name them."""
    for variable in ("DPBENCH_WEIGHTS", "DPBENCH_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "HF_HUB_CACHE"))
    monkeypatch.setattr(finding, "CLEAN_FID", tmp_path / "clean-fid")
    monkeypatch.setattr(finding, "places", PLACES)


@pytest.fixture(autouse=True, scope="session")
def no_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps privacy records, the fingerprint key and copies of images out of the user's home, those of commands that
    tests start, too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPBENCH_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("DPBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def weights_depend_on_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise every edit of the code seeds public training anew, and small networks fall short by chance."""
    monkeypatch.setattr("dpbench.core.cache.code_hash", lambda make: "fixed")


@pytest.fixture
def registries() -> Iterator[None]:
    """Undoes what a test registers."""
    with ExitStack() as stack:
        for registry in (METHODS, DATASETS, METRICS, REFINERS, EXTRACTORS, TEXT_ENCODERS, GENERATORS):
            stack.enter_context(temporary(registry))
        yield


@pytest.fixture
def tiny(registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Registers the fakes, starts with empty caches and no record, and gives a folder for results that is not there."""
    DATASETS.register("tiny")(fakes.Tiny)
    DATASETS.register("tiny-public")(fakes.TinyPublic)
    METHODS.register("fake")(fakes.FakeMean)
    METHODS.register("alone")(fakes.FakeAlone)
    METRICS.register("brightness")(fakes.Brightness)
    METRICS.register("classy")(fakes.Classy)
    METRICS.register("familiar")(fakes.Familiar)
    METRICS.register("rare")(fakes.Rare)
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DPBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DPBENCH_STATE", str(tmp_path / "state"))
    events.EVENTS.clear()
    return tmp_path / "out"

"""After a code change an interrupted trial is a new private run that reuses nothing of the earlier one."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import events
import pytest
import torch
from record import recorded

import dpbench
from dpbench import DATASETS, METHODS, REFINERS
from dpbench.benchmark.trials import schedule, stages
from dpbench.core import closure
from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json, write_json
from dpbench.core.plugin_files import load_plugin
from dpbench.core.progress import Quiet
from dpbench.privacy.ledger import Ledger
from dpbench.results import privacy_record
from dpbench.results.record import ADDED

METHOD = """
from dataclasses import dataclass
import events, fakes
from beside import SHIFT
from dpbench import METHODS, REFINERS, plugin_option
from dpbench.core.config import Choice

@dataclass(frozen=True)
class Config(fakes.FakeConfig):
    refiner: Choice = plugin_option("r", REFINERS, "detail stage")

@METHODS.register("shifted")
class Shifted(fakes.FakeMean):
    Config = Config

    def fit(self, private, run):
        self.mean = private.noisy_sum("mean", lambda batch: 0.2 + SHIFT * batch.images.float() / 255)
        events.EVENTS.append(self.mean)

    def state_dict(self):
        return {}
"""

REFINER = """
from dpbench import REFINERS, Refiner

@REFINERS.register("r")
class R(Refiner):
    def refine(self, coarse, size, run):
        return coarse
"""

REQUEST: dict[str, Any] = {
    "dataset": "tiny", "public": "tiny-public", "samples": 10, "delta": 1e-6, "metrics": ["brightness"],
    "references": (), "device": "cpu",
}  # fmt: skip

FILES = {"beside.py": "SHIFT = 0.1\n", "r.py": REFINER, "shifted.py": METHOD}


@dataclass
class Attempts:
    """Attempts at one trial, each with the current plugin files."""

    folder: Path
    out: Path
    patch: pytest.MonkeyPatch

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def load(self) -> None:
        """Imports the current plugin files, as a new process does."""
        for registry, name in ((METHODS, "shifted"), (REFINERS, "r")):
            registry.unregister(name)
        sys.modules.pop("beside", None)
        importlib.invalidate_caches()
        for file in ("r.py", "shifted.py"):
            load_plugin(self.folder / file)

    def run(self, crash: bool = True) -> torch.Tensor:
        """The release of one attempt in a new process."""
        self.load()
        options = REQUEST | {"out": self.out}
        with self.patch.context() as patch:
            if crash:
                patch.setattr(stages, "draw_samples", fails)
                with pytest.raises(DpbenchError, match="disk full"):
                    dpbench.run("shifted", **options)
            else:
                assert dpbench.run("shifted", **options)["accounting"].tolist() == ["verified"]
        [released] = [event for event in events.EVENTS if isinstance(event, torch.Tensor)]
        events.EVENTS.clear()
        return released

    @property
    def secret(self) -> str:
        [path] = self.out.rglob("noise.key")
        return str(json.loads(path.read_text(encoding="utf-8").splitlines()[0])["secret"])


class Said(Quiet):
    """Keeps the lines that a display shows."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def fails(*_: object) -> None:
    raise RuntimeError("disk full")


@pytest.fixture
def attempts(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attempts]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(closure, "STARTED", float("inf"))  # simulates a new process per attempt
    yield Attempts(folder, tiny, monkeypatch)
    sys.modules.pop("beside", None)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("beside.py", "0.1", "-0.1"),
        ("shifted.py", "0.2 + SHIFT", "0.2 - SHIFT"),
        ("shifted.py", "0.2 + SHIFT", "SHIFT + 0.2"),  # the value is the same, but the code differs
        ("r.py", "return coarse", "return -coarse"),
    ],
)
def test_edited_plugin_is_a_new_release_with_another_key(attempts: Attempts, file: str, old: str, new: str) -> None:
    first, secret = attempts.run(), attempts.secret
    attempts.edit(file, old, new)
    with pytest.warns(UserWarning, match="the code or environment changed since the interruption"):
        second = attempts.run()
    assert attempts.secret != secret
    assert len(recorded()) == 2
    assert (second - first).std() > 1  # independent noise: with equal noise all pixels would differ alike
    assert torch.equal(attempts.run(crash=False), second)
    assert len(recorded()) == 2


def test_restored_older_version_does_not_reuse_its_release(attempts: Attempts) -> None:
    first = attempts.run()
    attempts.edit("beside.py", "0.1", "-0.1")
    attempts.run()
    attempts.edit("beside.py", "-0.1", "0.1")
    assert not torch.equal(attempts.run(), first)
    assert len(recorded()) == 3


@pytest.mark.parametrize(
    "edit",
    [
        lambda a: None,
        lambda a: a.edit("shifted.py", "def fit", "# learns\n    def fit"),
        lambda a: a.edit("beside.py", "SHIFT", '"""How far."""\n\nSHIFT'),
        lambda a: (a.folder / "unrelated.py").write_text("SHIFT = 2\n"),
    ],
    ids=["nothing", "a comment", "a docstring", "another file"],
)
def test_unchanged_plugin_resumes(attempts: Attempts, edit: Callable[[Attempts], object]) -> None:
    first, secret = attempts.run(), attempts.secret
    edit(attempts)
    assert torch.equal(attempts.run(), first)
    assert attempts.secret == secret
    assert torch.equal(attempts.run(crash=False), first)
    assert len(recorded()) == 1


def test_another_noise_multiplier_is_a_new_private_run(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two multiples of the same noise would reveal the sum."""
    attempts.run()
    secret, calibrate = attempts.secret, schedule.calibrate
    monkeypatch.setattr(schedule, "calibrate", lambda plan, b: calibrate(plan, replace(b, delta=b.delta / 2)))
    attempts.run()
    assert attempts.secret != secret
    assert len(recorded()) == 2


def test_another_torch_version_is_a_new_private_run(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts.run()
    secret = attempts.secret
    monkeypatch.setattr(torch, "__version__", "99.0")
    attempts.run()
    assert attempts.secret != secret
    assert len(recorded()) == 2


def test_plugin_edited_while_running_gets_another_key(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code imported before the edit does not get the hash of the edited file."""
    monkeypatch.setattr(closure, "STARTED", 0.0)
    attempts.run()
    secret = attempts.secret
    monkeypatch.setattr(closure, "STARTED", float("inf"))
    attempts.run()
    assert attempts.secret != secret
    assert len(recorded()) == 2


@pytest.mark.parametrize(
    ("file", "old", "new"), [("beside.py", "0.1", "-0.1"), ("r.py", "return coarse", "return -coarse")]
)
def test_finished_trial_of_an_edited_plugin_runs_again(attempts: Attempts, file: str, old: str, new: str) -> None:
    first, said = attempts.run(crash=False), Said()
    attempts.edit(file, old, new)
    attempts.load()
    rows = dpbench.run("shifted", **REQUEST, out=attempts.out, display=said)
    assert "  the code of one of its plugins changed since it ran: it runs again, as another private run" in said.lines
    assert len(recorded()) == 2
    [second] = [event for event in events.EVENTS if isinstance(event, torch.Tensor)]
    assert not torch.equal(first, second)
    assert rows["method_source"].tolist() == ["file shifted.py"]
    [stored] = attempts.out.rglob("trial.json")
    assert read_json(stored)["source_hash"] == rows["source_hash"][0] != ""


def test_finished_trial_of_an_unchanged_plugin_is_skipped(attempts: Attempts) -> None:
    attempts.run(crash=False)
    attempts.edit("shifted.py", "def fit", "# learns\n    def fit")
    attempts.load()
    said = Said()
    dpbench.run("shifted", **REQUEST, out=attempts.out, display=said)
    assert "finished already: 1 of 1 trials" in said.lines
    assert len(recorded()) == 1


def test_finished_trial_of_an_earlier_version_that_noted_no_source_is_skipped(attempts: Attempts) -> None:
    attempts.run(crash=False)
    [path] = attempts.out.rglob("trial.json")
    record = read_json(path)
    write_json(path, {name: value for name, value in record.items() if name not in ADDED})
    attempts.load()
    said = Said()
    assert len(dpbench.run("shifted", **REQUEST, out=attempts.out, display=said)) == 1
    assert "finished already: 1 of 1 trials" in said.lines
    assert len(recorded()) == 1


def test_interrupted_trial_of_an_earlier_version_without_forfeits_goes_on(attempts: Attempts) -> None:
    first = attempts.run()
    [path] = attempts.out.rglob("ledger.json")
    ledger = read_json(path)
    for mechanism in ledger["mechanisms"]:
        del mechanism["releases_forfeited"]
    write_json(path, ledger)
    assert torch.equal(attempts.run(crash=False), first)
    assert len(recorded()) == 1


def test_trial_without_code_outside_dpbench_has_no_source_hash() -> None:
    method = METHODS.get("dp-merf")
    assert closure.outside_hash(method, method.Config, DATASETS.get("shapes")) == ""
    assert METHODS.source("dp-merf") == "dpbench"


def killed_before_its_release(attempts: Attempts, patch: pytest.MonkeyPatch) -> None:
    """An attempt that ends within its first query, before a receipt."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    attempts.load()
    with patch.context() as inner:
        inner.setattr(Ledger, "spend", killed)
        with pytest.raises(KeyboardInterrupt):
            dpbench.run("shifted", **REQUEST, out=attempts.out)


def test_attempts_that_released_nothing_are_one_run_whatever_changed(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for old, new in (("0.1", "0.2"), ("0.2", "0.3"), ("0.3", "0.4")):
        killed_before_its_release(attempts, monkeypatch)
        attempts.edit("beside.py", old, new)
    secret = attempts.secret
    attempts.run()
    assert attempts.secret == secret
    assert len(recorded()) == 1
    attempts.edit("beside.py", "0.4", "0.5")
    with pytest.warns(UserWarning, match="the code or environment changed since the interruption"):
        attempts.run(crash=False)
    assert len(recorded()) == 2


def test_files_newer_than_every_process_do_not_make_a_run_of_every_attempt(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression test: with clocks that disagree, an attempt that was killed often had a line for each time."""
    for _ in range(3):
        with monkeypatch.context() as inner:
            inner.setattr(closure, "STARTED", 0.0)
            killed_before_its_release(attempts, monkeypatch)
    attempts.run(crash=False)
    assert len(recorded()) == 1


def test_attempt_killed_between_key_and_record_is_recorded_by_the_next(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    attempts.load()
    with monkeypatch.context() as inner:
        inner.setattr(privacy_record, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            dpbench.run("shifted", **REQUEST, out=attempts.out)
    secret = attempts.secret
    assert recorded() == []
    attempts.run()
    assert attempts.secret == secret
    assert len(recorded()) == 1


def test_lost_ledger_counts_as_a_release(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_before_its_release(attempts, monkeypatch)
    [ledger] = attempts.out.rglob("ledger.json")
    ledger.unlink()
    attempts.edit("beside.py", "0.1", "0.2")
    attempts.run()
    assert len(recorded()) == 2

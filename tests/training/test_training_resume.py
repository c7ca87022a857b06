"""An interrupted training resumes and gives the result of an uninterrupted one."""

from __future__ import annotations

import pytest
import torch
from counted import STEPS, Counted

from dpbench.core.checkpoints import Checkpoints
from dpbench.training import loop


@pytest.fixture
def checkpoint_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.parametrize("stop", [1, 2, 13, 20])
def test_resumed_training_gives_the_identical_result(checkpoint_every_step, tmp_path, stop):
    whole = Counted(None)
    with pytest.raises(KeyboardInterrupt):
        Counted(tmp_path, stop)
    rest = Counted(tmp_path)
    assert rest.calls == STEPS - (stop - 1)
    assert torch.equal(rest.weights(), whole.weights())
    assert torch.equal(rest.run.generator.get_state(), whole.run.generator.get_state())


def test_steps_after_the_last_checkpoint_are_repeated(tmp_path, monkeypatch):
    clock = iter([0.0, *[10.0] * 8, *[100.0] * 100])
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    with pytest.raises(KeyboardInterrupt):
        Counted(tmp_path, stop=15)  # saved once, after step 9
    monkeypatch.undo()
    rest = Counted(tmp_path)
    assert rest.calls == STEPS - 9
    assert torch.equal(rest.weights(), Counted(None).weights())


def test_finished_phase_is_not_trained_again(tmp_path):
    first = Counted(tmp_path)
    again = Counted(tmp_path)
    assert again.calls == 0
    assert torch.equal(again.weights(), first.weights())


def test_no_intermediate_checkpoint_within_a_minute(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Counted(tmp_path, stop=STEPS)
    assert not list(tmp_path.rglob("*.pt"))


def test_no_checkpoint_without_a_folder(checkpoint_every_step, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Counted(None)
    assert not list(tmp_path.iterdir())


def test_damaged_checkpoint_restarts_the_phase(checkpoint_every_step, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Counted(tmp_path, stop=9)
    [path] = tmp_path.rglob("*.pt")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.warns(UserWarning, match="damaged"):
        rest = Counted(tmp_path)
    assert rest.calls == STEPS
    assert torch.equal(rest.weights(), Counted(None).weights())


def test_checkpoint_of_another_training_is_ignored(checkpoint_every_step, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Counted(tmp_path, stop=9)
    with pytest.warns(UserWarning, match="other code or settings"):
        assert Counted(tmp_path, seed=1).calls == STEPS
    assert Counted(tmp_path, name="another").calls == STEPS


def test_phases_with_the_same_name_resume_separately(checkpoint_every_step, tmp_path):
    first = Counted(tmp_path)
    first.stop = STEPS + 5
    with pytest.raises(KeyboardInterrupt):
        first.train("fit")
    again = Counted(tmp_path)
    again.train("fit")
    assert again.calls == STEPS - 4
    whole = Counted(None)
    whole.train("fit")
    assert torch.equal(again.weights(), whole.weights())


def test_non_writing_rank_writes_no_checkpoint(checkpoint_every_step, tmp_path):
    first = Counted(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}
    reader = Checkpoints(tmp_path, writes=False, code="code")
    assert torch.equal(Counted(None, checkpoints=reader).weights(), first.weights())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")} == before

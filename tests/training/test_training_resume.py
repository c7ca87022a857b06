"""An interrupted training resumes and gives the result of an uninterrupted one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dpbench.core.cache import PublicCache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.context import RunContext
from dpbench.training import loop
from dpbench.training.loop import PublicSteps, train

STEPS = 20


class Counted:
    """A tiny training with dropout, noise, Adam and a moving average, stopped before step `stop`."""

    def __init__(
        self,
        folder: Path | None,
        stop: int | None = None,
        name: str = "fit",
        seed: int = 0,
        checkpoints: Checkpoints | None = None,
    ):
        torch.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.calls = 0
        self.stop = stop
        generator = torch.Generator().manual_seed(seed)
        self.run = RunContext("cpu", generator, PublicCache(Path("nowhere")))
        self.run.checkpoints = checkpoints or Checkpoints(folder, code="code")
        self.train(name)

    def loss(self) -> Tensor:
        self.calls += 1
        if self.calls == self.stop:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=self.run.generator)
        return (self.model(x) - x.sum(1, keepdim=True)).square().mean()

    def train(self, name: str) -> None:
        optimizer = torch.optim.Adam(self.model.parameters(), lr=0.05)
        steps = PublicSteps(self.loss, optimizer, STEPS, self.run)
        train(steps, self.model, optimizer, self.run, name, ema=0.8)

    def weights(self) -> Tensor:
        return nn.utils.parameters_to_vector([p.detach() for p in self.model.parameters()])


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

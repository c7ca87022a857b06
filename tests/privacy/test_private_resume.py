"""A private run that goes on after an interruption releases what was planned: no more, no less."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from vaults import Images, Untouchable, a_sum, pixels, planned, steps

from dpbench.core.cache import PublicCache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.context import RunContext
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import Draws, NoiseSource
from dpbench.privacy.noise_key import FILE, NoiseKey
from dpbench.privacy.vault import Vault
from dpbench.training import loop
from dpbench.training.loop import train

STEPS = 12
TRAINING = steps(40, expected_batch=20, noise_multiplier=1.0, steps=STEPS)
QUERY = a_sum(noise_multiplier=1.0, count=2)


def flat(batch: Batch) -> Tensor:
    return batch.images.float().flatten(1) / 255


def noisy(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    x = flat(batch) + torch.randn(len(batch), 16, generator=generator)
    return (nn.functional.dropout(model(x)) ** 2).sum(1)


def trial_key(folder: Path, seed: int | None = None) -> NoiseKey:
    """The key that an earlier attempt left, or a new one, stored."""
    path = folder / "checkpoints" / FILE
    key = NoiseKey.read(path, "code")
    if key is None:
        key = NoiseKey() if seed is None else NoiseKey.from_seed(seed)
        key.store(path, "code")
    return key


def stored(folder: Path) -> Checkpoints:
    return Checkpoints(folder / "checkpoints", code="code")


class Attempt:
    """One attempt at a run of two noisy sums and a private training, stopped before step `stop` (counted anew)."""

    def __init__(self, folder: Path, stop: int | None = None, seed: int | None = None, records: Images | None = None):
        torch.manual_seed(0)
        self.records = records or Images(pixels(40))
        self.run = RunContext(
            "cpu",
            torch.Generator().manual_seed(0),
            PublicCache(Path("nowhere")),
            checkpoints=stored(folder),
        )
        self.ledger = Ledger.at(folder / "ledger.json", planned(TRAINING, QUERY))
        noise = NoiseSource(key=trial_key(folder, seed))
        self.private = Vault(self.records, self.records.spec, self.ledger, noise, checkpoints=self.run.checkpoints)
        self.model = nn.Linear(16, 3)
        self.taken, self.stop = 0, stop

    def fit(self) -> Attempt:
        self.sums = [self.private.noisy_sum("sum", flat) for _ in range(2)]
        optimizer = torch.optim.Adam(self.model.parameters(), lr=0.1)
        optimizer.register_step_pre_hook(self.before_step)
        stepper = self.private.dp_sgd("steps", self.model, noisy, optimizer, self.run.generator)
        train(stepper, self.model, optimizer, self.run, "private", ema=0.5)
        self.ledger.check_complete()
        return self

    def before_step(self, *_: object) -> None:
        if self.taken + 1 == self.stop:
            raise KeyboardInterrupt
        self.taken += 1

    def interrupted_at(self, step: int) -> None:
        self.taken += 1
        if self.taken == step:
            signal.raise_signal(signal.SIGINT)

    def weights(self) -> Tensor:
        return nn.utils.parameters_to_vector([p.detach() for p in self.model.parameters()])


def interrupt(folder: Path, stop: int, seed: int | None = None) -> Attempt:
    attempt = Attempt(folder, stop, seed)
    with pytest.raises(KeyboardInterrupt):
        attempt.fit()
    return attempt


def on_disk(folder: Path) -> dict[str, int]:
    content = json.loads((folder / "ledger.json").read_text())
    return {m["name"]: m["releases_spent"] for m in content["mechanisms"]}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.parametrize("stop", [1, 2, 8, STEPS])
def test_the_planned_number_of_steps_is_taken_and_accounted_for(often, tmp_path, stop):
    interrupt(tmp_path, stop)
    assert on_disk(tmp_path) == {"steps": stop, "sum": 2}  # the receipt came first, the step was never taken
    second = Attempt(tmp_path).fit()
    assert second.taken == STEPS - (stop - 1)
    assert second.ledger.spent == on_disk(tmp_path) == {"steps": STEPS, "sum": 2}


@pytest.mark.parametrize("stop", [1, 8, STEPS])
@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["stored after every step", "never stored"])
def test_an_interrupted_run_ends_in_the_weights_of_an_uninterrupted_one(tmp_path, monkeypatch, stop, seconds):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
    whole = Attempt(tmp_path / "whole", seed=5).fit()
    interrupt(tmp_path / "parts", stop, seed=5)
    rest = Attempt(tmp_path / "parts", seed=5).fit()
    assert torch.equal(rest.weights(), whole.weights())
    assert all(torch.equal(a, b) for a, b in zip(rest.sums, whole.sums, strict=True))


@pytest.mark.parametrize("stop", [1, 8, STEPS])
def test_ctrl_c_in_a_step_is_answered_after_it_and_nothing_is_released_twice(tmp_path, stop):
    whole = Attempt(tmp_path / "whole", seed=5).fit()
    first = Attempt(tmp_path / "parts", seed=5)
    first.before_step = lambda *_: first.interrupted_at(stop)  # the receipt is written, the step is not taken
    with pytest.raises(KeyboardInterrupt):
        first.fit()
    rest = Attempt(tmp_path / "parts", seed=5).fit()
    assert (first.taken, rest.taken) == (stop, STEPS - stop)
    assert torch.equal(rest.weights(), whole.weights())


def test_secret_noise_is_replayed_too(often, tmp_path):
    """Two copies of what an interrupted attempt left end in the same bits: nothing is drawn twice."""
    interrupt(tmp_path / "a", 8)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    weights = [Attempt(tmp_path / copy).fit().weights() for copy in ("a", "b")]
    assert torch.equal(*weights)
    assert not torch.isclose(weights[0], Attempt(tmp_path / "another").fit().weights()).any()


def test_an_attempt_that_is_thrown_away_draws_the_same_step_again(tmp_path):
    """Rerunning until the first step pleases is no selection: it is always the same step."""
    seen = []
    for _ in range(3):
        attempt = interrupt(tmp_path, 2)
        seen.append(attempt.weights())
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


def test_other_initial_weights_are_refused_before_a_record_is_read(tmp_path):
    interrupt(tmp_path, 2)
    attempt = Attempt(tmp_path, records=Untouchable(pixels(40)))
    with torch.no_grad():
        attempt.model.weight.add_(0.1)
    with pytest.raises(PrivacyError, match=r"step 1 of 'steps' starts from other values .* --force"):
        attempt.fit()


def test_another_derivation_is_refused_before_a_step(tmp_path):
    """With the same weights and the same noise, other derived records would show the difference of their gradients."""
    weights = []
    for scale in (1.0, 0.9):
        attempt = Attempt(tmp_path)
        attempt.private = attempt.private.derive(lambda batch, s=scale: s * flat(batch))
        model, generator = nn.Linear(16, 3), torch.Generator().manual_seed(0)
        nn.init.ones_(model.weight)

        def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            return (model(batch.derived) ** 2).sum(1)

        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        if scale == 1:
            next(attempt.private.dp_sgd("steps", model, loss, optimizer, generator))
        else:
            with pytest.raises(PrivacyError, match="derived records of step 1 of 'steps' starts from other values"):
                attempt.private.dp_sgd("steps", model, loss, optimizer, generator)
        weights.append(model.weight.detach().clone())
    assert torch.equal(weights[1], torch.ones(3, 16))


def test_another_contribution_is_refused_before_a_record_is_read(tmp_path):
    Attempt(tmp_path).private.noisy_sum("sum", flat)
    attempt = Attempt(tmp_path, records=Untouchable(pixels(40)))
    with pytest.raises(PrivacyError, match="release 1 of 'sum' starts from other values"):
        attempt.private.noisy_sum("sum", lambda batch: 2 * flat(batch))


def test_lost_steps_are_taken_again_and_the_ledger_goes_back_to_the_checkpoint(tmp_path, monkeypatch):
    clock = iter([0.0, *[0.0] * 3, *[100.0] * 100])
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    interrupt(tmp_path, 9)  # stored after step 4 only
    monkeypatch.undo()
    assert on_disk(tmp_path)["steps"] == 9
    second = Attempt(tmp_path, stop=1)
    with pytest.raises(KeyboardInterrupt):
        second.fit()
    assert second.ledger.spent["steps"] == 5
    third = Attempt(tmp_path).fit()
    assert third.taken == STEPS - 4
    assert third.ledger.spent["steps"] == STEPS


def test_a_finished_training_is_taken_up_without_a_record_being_read(tmp_path):
    first = Attempt(tmp_path).fit()
    again = Attempt(tmp_path, records=Untouchable(pixels(40))).fit()
    assert again.taken == 0
    assert torch.equal(again.weights(), first.weights())
    assert on_disk(tmp_path) == {"steps": STEPS, "sum": 2}


def test_the_file_never_says_less_than_what_is_stored(often, tmp_path):
    interrupt(tmp_path, 8)
    resumed = Attempt(tmp_path)
    assert on_disk(tmp_path) == {"steps": 8, "sum": 2}
    resumed.private.noisy_sum("sum", flat)
    assert resumed.ledger.spent == {"steps": 0, "sum": 1}
    assert on_disk(tmp_path) == {"steps": 8, "sum": 2}


def test_a_stored_sum_is_handed_out_again_without_records_and_noise(tmp_path, monkeypatch):
    first = Attempt(tmp_path)
    sums = [first.private.noisy_sum("sum", flat) for _ in range(2)]
    assert not torch.equal(*sums)
    again = Attempt(tmp_path, records=Untouchable(pixels(40)))
    monkeypatch.setattr(Draws, "gaussian", lambda *_: pytest.fail("noise was drawn"))
    assert all(torch.equal(again.private.noisy_sum("sum", flat), total) for total in sums)
    assert again.ledger.spent["sum"] == 2
    with pytest.raises(PrivacyError, match="all 2 planned"):
        again.private.noisy_sum("sum", flat)


def test_a_sum_is_stored_with_its_receipt_before_it_is_handed_out(tmp_path):
    total = Attempt(tmp_path).private.noisy_sum("sum", flat)
    [path] = tmp_path.rglob("*.pt")
    stored = torch.load(path, weights_only=True)
    assert torch.equal(stored["total"], total)
    assert stored["receipt"] == {"mechanism": "sum", "number": 1, "planned": 2}


def test_the_second_sum_is_released_when_only_the_first_was_stored(tmp_path):
    first = Attempt(tmp_path).private.noisy_sum("sum", flat)
    again = Attempt(tmp_path)
    assert torch.equal(again.private.noisy_sum("sum", flat), first)
    assert not torch.equal(again.private.noisy_sum("sum", flat), first)
    assert again.ledger.spent["sum"] == 2


def test_a_release_under_another_mechanism_is_not_taken_up(tmp_path):
    Attempt(tmp_path).private.noisy_sum("sum", flat)
    records, other = Images(pixels(40)), a_sum(noise_multiplier=2.0, count=2)
    private = Vault(records, records.spec, Ledger(planned(other)), NoiseSource(), checkpoints=stored(tmp_path))
    with pytest.warns(UserWarning, match="other code or settings"):
        private.noisy_sum("sum", flat)
    assert records.reads


def damage(folder: Path, name: str) -> None:
    [path] = folder.glob(f"checkpoints/{name}*.pt")
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("name", ["private", "release-1-of-sum"])
def test_what_is_damaged_is_done_again_and_comes_out_the_same(often, tmp_path, name):
    whole = Attempt(tmp_path / "whole", seed=5).fit()
    first = interrupt(tmp_path / "parts", 8, seed=5)
    damage(tmp_path / "parts", name)
    second = Attempt(tmp_path / "parts", seed=5)
    with pytest.warns(UserWarning, match="damaged"):
        second.fit()
    assert all(torch.equal(a, b) for a, b in zip(first.sums, second.sums, strict=True))
    assert torch.equal(second.weights(), whole.weights())
    assert second.ledger.spent == {"steps": STEPS, "sum": 2}


def test_a_method_cannot_go_back_and_draw_again(tmp_path):
    attempt = Attempt(tmp_path)
    optimizer = torch.optim.SGD(attempt.model.parameters(), lr=1.0)
    stepper = attempt.private.dp_sgd("steps", attempt.model, noisy, optimizer, attempt.run.generator)
    before = stepper.state_dict()
    next(stepper)
    with pytest.raises(PrivacyError, match="cannot go back to its release 0: 1 have been made"):
        stepper.load_state_dict(before)
    assert attempt.ledger.spent["steps"] == 1


@pytest.mark.parametrize("releases", [-1, STEPS + 1])
def test_a_stored_count_outside_the_plan_is_refused(tmp_path, releases):
    ledger = Attempt(tmp_path).ledger
    with pytest.raises(PrivacyError, match=f"(go back to its release {releases}|{releases} stored releases)"):
        ledger.restore(TRAINING, releases)


def test_marks_survive_an_interruption(tmp_path):
    Attempt(tmp_path).private.unsafe_records("a look")
    assert Attempt(tmp_path).ledger.unverified == ["a look"]


def test_nothing_is_stored_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = Images(pixels(40))
    Vault(records, records.spec, Ledger(planned(QUERY)), NoiseSource()).noisy_sum("sum", flat)
    assert not list(tmp_path.iterdir())


def test_a_forfeited_mechanism_is_forfeited_again_when_the_run_goes_on(tmp_path):
    for _ in range(2):
        attempt = Attempt(tmp_path)
        attempt.private.noisy_sum("sum", flat)
        attempt.private.forfeit("sum")
        attempt.private.forfeit("steps")
        attempt.ledger.check_complete()
        assert on_disk(tmp_path) == {"steps": 0, "sum": 1}
        with pytest.raises(PrivacyError, match="forfeited after 1 of 2"):
            attempt.private.noisy_sum("sum", flat)


def test_forfeiting_does_not_make_the_file_forget_releases_that_are_not_restored_yet(tmp_path):
    Attempt(tmp_path).private.noisy_sum("sum", flat)
    again = Attempt(tmp_path)
    again.private.forfeit("steps")
    assert on_disk(tmp_path) == {"steps": 0, "sum": 1}
    assert again.ledger.spent == {"steps": 0, "sum": 0}


def test_a_stepper_takes_no_step_after_it_was_forfeited_and_reads_no_record(tmp_path):
    attempt = Attempt(tmp_path)
    optimizer = torch.optim.SGD(attempt.model.parameters(), lr=0.1)
    stepper = attempt.private.dp_sgd("steps", attempt.model, noisy, optimizer, attempt.run.generator)
    next(stepper)
    attempt.private.forfeit("steps")
    reads = len(attempt.records.reads)
    with pytest.raises(PrivacyError, match=f"forfeited after 1 of {STEPS}"):
        next(stepper)
    assert len(attempt.records.reads) == reads

"""An interrupted trial continues an interrupted attempt."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from record import recorded
from safetensors.torch import load_file

import dpbench
from dpbench.benchmark.trials import stages, trial_sampling
from dpbench.core.cache import weights_hash
from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json
from dpbench.core.progress_lines import ProgressLines
from dpbench.privacy.noise import Draws
from dpbench.privacy.stepper import DPSGDStepper
from dpbench.results import samples
from dpbench.training import loop
from dpbench.training.public_steps import PublicSteps

STEPS, TOKENIZER_STEPS, PUBLIC_STEPS = 6, 3, 5
SETTINGS = {
    "levels": 1, "codes": 8, "tokenizer_steps": TOKENIZER_STEPS, "tokenizer_dim": 8,
    "dim": 16, "depth": 1, "heads": 2, "public_steps": PUBLIC_STEPS, "public_batch": 8,
    "batch": 50, "steps": STEPS, "refiner.name": "bicubic",
}  # fmt: skip
TESTS = Path(__file__).parents[2]

datasets = pytest.mark.parametrize("dataset", ["tiny", "tiny:captions"])
"""With classes, and with captions."""


def run(out: Path, method: str = "wavelet", **options: Any) -> pd.DataFrame:
    defaults: dict[str, Any] = {
        "dataset": "tiny", "public": "tiny-public", "settings": SETTINGS, "samples": 10, "delta": 1e-6,
        "metrics": ["brightness"], "references": (), "device": "cpu",
    }  # fmt: skip
    return dpbench.run(method, out=out, **(defaults | options))


def only(out: Path, name: str) -> Path:
    [path] = out.rglob(name)
    return path


class Interrupt:
    """Counts the steps of a stepper and raises an error before step `at`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stepper: type):
        self.at: int | None = None
        self.error: BaseException = KeyboardInterrupt()
        self.count = 0
        step: Callable[[Any], Any] = stepper.__next__

        def counted(steps: Any) -> Any:
            if self.count + 1 == self.at:
                raise self.error
            result = step(steps)
            self.count += 1
            return result

        monkeypatch.setattr(stepper, "__next__", counted)
        monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    def one(self, at: int, out: Path, **options: Any) -> None:
        """Runs until the interruption and resets the counter."""
        self.at, self.count = at, 0
        with pytest.raises((KeyboardInterrupt, DpbenchError)):
            run(out, **options)
        self.at, self.count = None, 0


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    return Interrupt(monkeypatch, DPSGDStepper)


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    return Interrupt(monkeypatch, PublicSteps)


def check_finished(out: Path, rows: pd.DataFrame) -> None:
    assert rows["accounting"].tolist() == ["verified"]
    assert rows["brightness"].notna().all()
    [mechanism] = read_json(only(out, "ledger.json"))["mechanisms"]
    assert mechanism["releases_spent"] == mechanism["releases_planned"] == STEPS
    assert not list(out.rglob("checkpoints"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")], ids=["ctrl-c", "crash"])
def test_private_training_resumes_from_a_checkpoint(tiny: Path, private: Interrupt, error: BaseException) -> None:
    private.error = error
    private.one(4, tiny)
    assert list(tiny.rglob("checkpoints/fit/*.pt"))
    [seconds] = tiny.rglob("checkpoints/fit/.seconds.*.json")
    seconds.write_text('{"seconds": 1000}')
    said: list[str] = []
    rows = run(tiny, display=ProgressLines(said.append))
    assert 1000 < rows["seconds_fit"][0] < 1500
    assert private.count == STEPS - 3
    check_finished(tiny, rows)
    assert len(recorded()) == 1
    resumed = f"finetune the token model (private): resumed at step 3 of {STEPS}"
    for line in ("continues an interrupted attempt", resumed):
        assert [line.strip() for line in said].count(line) == 1
        assert line in only(tiny, "log.txt").read_text()


@datasets
def test_resumed_run_with_reproducible_noise_equals_an_uninterrupted_one(
    tiny: Path, private: Interrupt, dataset: str
) -> None:
    run(tiny / "whole", noise_seed=3, dataset=dataset)
    private.one(4, tiny / "parts", noise_seed=3, dataset=dataset)
    run(tiny / "parts", noise_seed=3, dataset=dataset)
    for name in ("model.safetensors", "00000.npy", "ledger.json"):
        assert only(tiny / "whole", name).read_bytes() == only(tiny / "parts", name).read_bytes()


def test_public_pretraining_resumes(tiny: Path, public: Interrupt, monkeypatch: pytest.MonkeyPatch) -> None:
    public.one(TOKENIZER_STEPS + 4, tiny)
    assert list(tiny.rglob("checkpoints/prepare/*.pt"))
    assert len(recorded()) == 0
    check_finished(tiny, run(tiny))
    assert public.count == PUBLIC_STEPS - 3
    assert len(recorded()) == 1
    made = cached(tiny)
    monkeypatch.setenv("DPBENCH_CACHE", str(tiny / "another cache"))
    run(tiny / "whole")
    assert cached(tiny, "another cache") == made


def cached(tiny: Path, name: str = "../cache") -> dict[str, str]:
    """The hash of the tensors of each file; a file also says how long they took."""
    return {path.name: weights_hash(load_file(path)) for path in (tiny / name / "public").glob("*.safetensors")}


def test_trial_failing_in_sampling_spends_nothing_again(
    tiny: Path, private: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("disk full")

    draw_samples = stages.draw_samples
    monkeypatch.setattr(stages, "draw_samples", fails)
    with pytest.raises(DpbenchError, match="disk full"):
        run(tiny)
    monkeypatch.setattr(stages, "draw_samples", draw_samples)
    assert private.count == STEPS
    check_finished(tiny, run(tiny))
    assert private.count == STEPS
    assert len(recorded()) == 1


@pytest.mark.parametrize("killed_at", ["write_shard", "write_conditions"])
def test_interrupted_sampling_continues_with_the_same_images(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    monkeypatch.setattr(trial_sampling, "CHUNK", 4)
    options: dict[str, Any] = {"samples": 18, "noise_seed": 3}
    run(tiny / "whole", **options)
    stop_sampling(tiny / "parts", monkeypatch, killed_at, **options)
    written: list[int] = []
    write_shard = samples.write_shard
    monkeypatch.setattr(samples, "write_shard", lambda *shard: (written.append(shard[1]), write_shard(*shard)))
    said: list[str] = []
    rows = run(tiny / "parts", display=ProgressLines(said.append), **options)
    kept = 3 if killed_at == "write_shard" else 5
    assert written == list(range(kept, 5))
    assert f"sampling: resumed after {min(4 * kept, 18)} images" in map(str.strip, said)
    for number in range(5):
        name = f"{number:05d}.npy"
        assert only(tiny / "whole", name).read_bytes() == only(tiny / "parts", name).read_bytes()
    check_finished(tiny / "parts", rows)


@pytest.mark.parametrize("change", ["damaged", "missing", "other arithmetic"])
def test_sampling_that_cannot_continue_exactly_starts_over(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(trial_sampling, "CHUNK", 4)
    options: dict[str, Any] = {"samples": 18, "noise_seed": 3}
    stop_sampling(tiny / "parts", monkeypatch, "write_shard", **options)
    if change == "damaged":
        only(tiny / "parts", "00001.npy").write_bytes(b"no array")
    if change == "missing":
        only(tiny / "parts", "00001.npy").unlink()
    if change == "other arithmetic":
        images = trial_sampling._images
        monkeypatch.setattr(trial_sampling, "_images", lambda *chunk: images(*chunk) // 2)
    run(tiny / "parts", **options)
    run(tiny / "whole", **options)
    for number in range(5):
        name = f"{number:05d}.npy"
        assert only(tiny / "whole", name).read_bytes() == only(tiny / "parts", name).read_bytes()


def stop_sampling(out: Path, monkeypatch: pytest.MonkeyPatch, at: str, **options: Any) -> None:
    """Ends a run while it samples: before it writes the fourth shard, or all conditions."""
    write = getattr(samples, at)

    def stops(folder: Path, what: Any, *rest: Any) -> None:
        if at == "write_conditions" or what == 3:
            raise KeyboardInterrupt
        write(folder, what, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(samples, at, stops)
        with pytest.raises(KeyboardInterrupt):
            run(out, **options)


def test_noisy_sum_is_released_once_over_several_attempts(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "draw_samples", fails)
        with pytest.raises(DpbenchError, match="disk full"):
            run(tiny, "fake", settings={})
    monkeypatch.setattr(Draws, "gaussian", lambda *_: pytest.fail("noise was drawn"))
    assert run(tiny, "fake", settings={})["accounting"].tolist() == ["verified"]
    assert len(recorded()) == 1


def test_force_restarts_training(tiny: Path, private: Interrupt) -> None:
    private.one(4, tiny)
    check_finished(tiny, run(tiny, force=True))
    assert private.count == STEPS
    assert len(recorded()) == 2


def test_attempt_without_checkpoints_is_replayed(tiny: Path, private: Interrupt) -> None:
    run(tiny / "whole", noise_seed=3)
    private.one(4, tiny / "parts", noise_seed=3)
    for path in tiny.rglob("checkpoints/**/*.pt"):
        path.unlink()
    check_finished(tiny / "parts", run(tiny / "parts", noise_seed=3))
    assert private.count == STEPS
    assert len(recorded()) == 1
    assert (
        only(tiny / "whole", "model.safetensors").read_bytes() == only(tiny / "parts", "model.safetensors").read_bytes()
    )


def test_noise_key_is_secret_and_deleted_at_the_end(tiny: Path, private: Interrupt) -> None:
    private.one(4, tiny)
    assert stat.S_IMODE(only(tiny, "noise.key").stat().st_mode) == 0o600
    run(tiny)
    assert not list(tiny.rglob("noise.key"))


def test_missing_noise_key_starts_a_new_private_run(tiny: Path, private: Interrupt) -> None:
    private.one(4, tiny)
    only(tiny, "noise.key").unlink()
    check_finished(tiny, run(tiny))
    assert private.count == STEPS
    assert len(recorded()) == 2


def test_other_code_starts_a_new_private_run(tiny: Path, private: Interrupt, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same noise on other sums would reveal their difference."""
    private.one(4, tiny)
    key = only(tiny, "noise.key").read_text()
    monkeypatch.setattr(stages, "code_behind", lambda *_: "edited")
    private.one(2, tiny)
    assert json.loads(only(tiny, "noise.key").read_text().splitlines()[0])["secret"] not in key
    check_finished(tiny, run(tiny))
    assert len(recorded()) == 2


def test_damaged_noise_key_needs_force(tiny: Path, private: Interrupt) -> None:
    private.one(4, tiny)
    only(tiny, "noise.key").write_text("")
    with pytest.raises(DpbenchError, match=r"noise\.key"):
        run(tiny)
    assert len(recorded()) == 1
    check_finished(tiny, run(tiny, force=True))
    assert len(recorded()) == 2


def test_non_private_checkpoints_of_undeclared_data_are_sensitive(tiny: Path, private: Interrupt) -> None:
    request = {"dataset": "tiny:secret", "epsilons": [float("inf")]}
    private.one(4, tiny, **request)
    assert only(tiny, "checkpoints").parent.name == "sensitive"
    run(tiny, **request)
    assert private.count == STEPS - 3
    assert not list(tiny.rglob("checkpoints"))


@datasets
def test_killed_process_loses_only_the_last_step(tiny: Path, private: Interrupt, dataset: str) -> None:
    command = [
        sys.executable, "-m", "dpbench", "run", "--plugin", str(TESTS / "plugin_tiny.py"), "--method", "wavelet",
        "--dataset", dataset, "--public", "tiny-public", "--samples", "10", "--delta", "1e-6", "--device", "cpu",
        "--metrics", "brightness", "--references", "none", "--out", str(tiny),
        *(f"--set={key}={value}" for key, value in SETTINGS.items()),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(TESTS), "DPBENCH_KILL": "4"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list(tiny.rglob("checkpoints/fit/*.pt"))) == 1
    rows = run(tiny, dataset=dataset)
    assert private.count == STEPS - 3
    check_finished(tiny, rows)
    assert len(recorded()) == 1

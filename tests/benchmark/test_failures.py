"""A trial that fails does not end the others; what every trial would meet does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import events
import fakes
import pandas as pd
import pytest
from record import recorded

import dpbench
from dpbench import METHODS
from dpbench.benchmark.failures import TrialsFailed
from dpbench.core.errors import DpbenchError, PrivacyError, RunError
from dpbench.results import trial_folder


class Leaky(fakes.FakeMean):
    """Keeps its release on the class, then crashes."""

    seen: Any = None

    def fit(self, private: Any, run: Any) -> None:
        type(self).seen = private.noisy_sum("mean", lambda batch: batch.images.float() / 255)
        raise RuntimeError("it broke")


VARIANTS = ("fake", "fake[fail=crash]", "fake[fail=skip]", "fake[spread=6]")


def run(out: Path, *methods: str, **options: Any) -> pd.DataFrame:
    request: dict[str, Any] = {
        "dataset": "tiny", "public": "tiny-public", "samples": 10, "delta": 1e-6, "metrics": ["brightness"],
        "references": (), "device": "cpu",
    }  # fmt: skip
    return dpbench.run(list(methods), out=out, **(request | options))


def test_other_trials_go_on_and_failures_are_summed_up(tiny: Path) -> None:
    with pytest.raises(
        TrialsFailed, match=r"2 of 4 trials failed; `dpbench run --config \S+\.yaml` tries them again"
    ) as caught:
        run(tiny, *VARIANTS)
    error = caught.value
    assert error.finished.rows["variant"].tolist() == ["", "spread=6.0"]
    assert pd.read_csv(tiny / "leaderboard.csv")["variant"].fillna("").tolist() == ["", "spread=6.0"]
    crash, skip = map(str, error.failures)
    assert error.__notes__ == [crash, skip]
    assert crash.startswith("fake [fail=crash] ε=1 seed 0: RuntimeError: it broke (traceback in ")
    assert skip.startswith("fake [fail=skip] ε=1 seed 0: ")
    assert skip.endswith("log.txt)")
    for failure in error.failures:
        assert "failed" in failure.log.read_text()


def test_sys_exit_in_a_method_fails_its_trial_alone(tiny: Path) -> None:
    class Exits(fakes.FakeMean):
        def fit(self, private: Any, run: Any) -> None:
            sys.exit(0)

    METHODS.register("exits")(Exits)
    with pytest.raises(TrialsFailed, match="1 of 2 trials failed") as caught:
        run(tiny, "exits", "fake")
    assert caught.value.finished.rows["method"].tolist() == ["fake"]
    (failure,) = caught.value.failures
    assert str(failure).startswith("exits ε=1 seed 0: SystemExit: 0 (traceback in ")


def test_public_images_without_a_track_are_answered_with_what_to_do(tiny: Path) -> None:
    class Forgetful(fakes.FakeAlone):
        def prepare(self, public: Any, run: Any) -> None:
            self.mean = public.batch(range(10)).images

    METHODS.register("forgetful")(Forgetful)
    with pytest.raises(TrialsFailed) as caught:
        run(tiny, "forgetful", "alone")
    (failure,) = caught.value.failures
    assert 'a method gets public images if its class sets track = "images"' in str(failure)


def test_fail_fast_ends_at_the_first_failure(tiny: Path) -> None:
    with pytest.raises(DpbenchError, match="it broke") as caught:
        run(tiny, *VARIANTS, fail_fast=True)
    assert not isinstance(caught.value, TrialsFailed)
    assert events.EVENTS.count("fit") == 2


def test_a_failure_that_ends_a_run_names_trial_log_and_what_tries_it_again(tiny: Path) -> None:
    again = r"`dpbench run --config \S+\.yaml` tries again$"
    with pytest.raises(PrivacyError, match=rf"^fake \[fail=skip\] ε=1 seed 0: .* \(log: \S+log\.txt\); {again}"):
        run(tiny, "fake[fail=skip]")
    with pytest.raises(DpbenchError, match=rf"^fake \[fail=crash\] ε=1 seed 0: .* \(traceback in \S+\); {again}"):
        run(tiny, *VARIANTS, fail_fast=True)


def test_diverged_model_gets_no_row_but_its_run_counts(tiny: Path) -> None:
    with pytest.raises(DpbenchError, match=r"3 of 256 weights are not finite \(the first in mean\): training diverged"):
        run(tiny, "fake[fail=diverge]")
    assert len(recorded()) == 1
    assert not list(tiny.rglob("trial.json"))
    assert "sample" not in events.EVENTS


def test_setting_out_of_range_is_refused_before_a_run_is_recorded(tiny: Path) -> None:
    for value in ("nan", "inf", "-1"):
        with pytest.raises(DpbenchError, match=f"method 'fake': setting spread={value} must lie in \\[0, ∞\\)"):
            run(tiny, "fake", settings={"spread": value})
    assert recorded() == []
    assert not tiny.exists()


def test_full_disk_ends_the_run(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RunError("cannot write it: no space left on device")

    monkeypatch.setattr(trial_folder.TrialFolder, "write", full)
    with pytest.raises(RunError, match="no space left"):
        run(tiny, "fake", "fake[spread=6]")
    assert events.EVENTS.count("fit") == 1


def test_private_state_on_a_class_ends_the_run_also_after_a_crash(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leaky, "seen", None)  # restored afterwards
    METHODS.register("leaky")(Leaky)
    with pytest.raises(PrivacyError, match=r"changed Leaky\.seen.*\(before that it failed: RuntimeError: it broke\)"):
        run(tiny, "leaky", "leaky[spread=6]")
    assert events.EVENTS.count("prepare") == 1

"""Which trials are finished: most are told by their rows, and the files of the others are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dpbench import RunRequest
from dpbench.benchmark.commands.running import run_request
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials import finished
from dpbench.benchmark.trials.finished import finished_trials
from dpbench.benchmark.trials.schedule import plan_trials
from dpbench.core.files import read_json, write_json
from dpbench.core.progress import Quiet
from dpbench.results.trial_folder import TrialFolder

SEEDS = 3


class Saying(Quiet):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture
def request_of(tiny: Path) -> Callable[..., RunRequest]:
    asked = RunRequest("fake", "tiny", [1.0], delta=1e-6, public="tiny-public", samples=10, device="cpu", seeds=SEEDS,
                       metrics=["brightness"], references=(), out=tiny)  # fmt: skip
    return lambda **changes: replace(asked, **changes)


def seeds_found(request: RunRequest, metrics: tuple[str, ...] = ("brightness",)) -> list[int]:
    with Session.open(request) as session:
        trials = plan_trials(session)
        found = finished_trials(trials, session, metrics)
    return [trial.seed for trial in trials if trial.key in found]


def folder_of(seed: int, out: Path) -> TrialFolder:
    (path,) = (path.parent for path in out.rglob("trial.json") if read_json(path)["seed"] == seed)
    return TrialFolder(path)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = read_json(path)
    change(content)
    write_json(path, content)


def test_files_are_not_read_of_trials_whose_rows_tell(
    tiny: Path, request_of: Callable[..., RunRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seeds_found(request_of()) == []
    run_request(request_of())
    assert seeds_found(request_of(force=True)) == []
    read: list[Path] = []
    read_record = TrialFolder.read
    monkeypatch.setattr(
        TrialFolder, "read", lambda folder, key=None: read.append(folder.path) or read_record(folder, key)
    )
    assert seeds_found(request_of()) == [0, 1, 2]
    assert read == []
    again = Saying()
    run_request(request_of(), again)
    assert again.said == ["finished already: 3 of 3 trials"]
    (tiny / "leaderboard.csv").unlink()
    (folder_of(1, tiny).path / "trial.json").unlink()
    assert seeds_found(request_of()) == [0, 2]


def test_a_row_that_lacks_a_score_or_has_another_protocol_does_not_tell(
    tiny: Path, request_of: Callable[..., RunRequest]
) -> None:
    run_request(request_of())
    assert seeds_found(request_of(), ("brightness", "classy")) == []
    edit(folder_of(0, tiny).path / "scores.json", lambda scores: scores["values"].update(brightness=None))
    edit(folder_of(1, tiny).path / "scores.json", lambda scores: scores["protocol"]["brightness"].update(metric="old"))
    assert seeds_found(request_of()) == [2]


def test_an_empty_cell_with_a_lasting_reason_is_finished_by_its_files(
    tiny: Path, request_of: Callable[..., RunRequest]
) -> None:
    run_request(request_of())

    def lacks(scores: dict[str, Any]) -> None:
        scores["values"]["brightness"] = None
        scores["missing"]["brightness"] = "there is none of these images"

    edit(folder_of(0, tiny).path / "scores.json", lacks)
    assert seeds_found(request_of()) == [0, 1, 2]


def test_a_row_of_other_code_or_of_a_copied_folder_does_not_tell(
    tiny: Path, request_of: Callable[..., RunRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_request(request_of())
    monkeypatch.setattr(finished, "is_finished", lambda trial, session, metrics: False)
    assert seeds_found(request_of()) == [0, 1, 2]
    edit(folder_of(0, tiny).path / "trial.json", lambda record: record.update(source_hash="edited"))
    moved = folder_of(1, tiny).path
    moved.rename(moved.with_name("elsewhere"))
    assert seeds_found(request_of()) == [2]

"""What every trial goes through, whatever its images come from: get them once, score them, say what came out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from dpbench.benchmark.bench import Bench
from dpbench.benchmark.log import Log
from dpbench.benchmark.provenance import provenance
from dpbench.benchmark.scoring import headline_columns, missing_metrics, score
from dpbench.benchmark.subject import Subject
from dpbench.core.checkpoints import CHECKPOINTS, has_checkpoints, remove_checkpoints
from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_json
from dpbench.core.progress import Display
from dpbench.results import samples
from dpbench.results.gathering import read_rows
from dpbench.results.row import IDENTITY
from dpbench.results.store import SCORES, SENSITIVE, TRIAL, UNSCORED
from dpbench.results.table import rounded

Make = Callable[[Log], Mapping[str, Any]]
"""Puts a trial's samples in their place, and gives back what trial.json says of the trial."""

EMPTY = {f.name: None for f in IDENTITY}


def settle(subject: Subject, metrics: Sequence[str], display: Display, work: Callable[[list[str]], None]) -> None:
    """Has `work` do what is left to do of a trial, and says what came out.

    Args:
        metrics: names of the metrics that are wanted.
        work: is given the names of those that have no value yet.
    """
    left = missing_metrics(subject.folder, metrics) if subject.is_sampled else list(metrics)
    if left or not subject.is_finished:
        work(left)
    else:
        display.say("  finished already")
    for _, row in read_rows([subject.folder], []).iterrows():
        found = [f"{c.name} {rounded(row[c.name])}" for c in headline_columns() if pd.notna(row.get(c.name))]
        display.say(f"  {', '.join(found)}")


def finish(subject: Subject, metrics: Sequence[str], bench: Bench, make: Make) -> None:
    """Finishes a trial: has it sampled unless that is done, then scores it.

    An interrupted attempt goes on from its checkpoints: what had been done is taken up or skipped.

    Args:
        metrics: names of the metrics that have no value yet.

    Raises:
        DpbenchError: whatever went wrong, in one line. The folder then has a log.txt, but no trial.json.
    """
    if not subject.is_sampled:
        with _logged(subject) as log:
            resumes = has_checkpoints(subject.workplace / CHECKPOINTS)
            if not resumes:
                discard(subject.folder)
            log(f"{subject} {'goes on from its checkpoints' if resumes else 'starts'}")
            log(f"on {bench.device} in {bench.precision}")
            made = make(log)
            circumstances = provenance(bench.device, bench.launch.world.size, bench.precision)
            write_json(subject.folder / UNSCORED, {**EMPTY, **made, **circumstances})
    add_scores(subject.as_sampled(), metrics, bench)


def add_scores(subject: Subject, metrics: Sequence[str], bench: Bench) -> None:
    """Scores a sampled trial; with that it is finished.

    Raises:
        DpbenchError: as `finish`; what had been stored stays.
    """
    with _logged(subject) as log:
        _leave_workplace(subject)
        if metrics:
            with bench.context(subject, "evaluate") as run, timed("evaluate", log):
                score(subject, metrics, bench.sources, run)
        if not subject.is_finished:
            (subject.folder / UNSCORED).replace(subject.folder / TRIAL)
        log("finished")


def _leave_workplace(subject: Subject) -> None:
    """Takes the checkpoints away, and `sensitive/` where nothing else lies there."""
    remove_checkpoints(subject.workplace / CHECKPOINTS)
    if subject.workplace != subject.folder:
        with suppress(OSError):
            subject.workplace.rmdir()


def discard(folder: Path) -> None:
    """Takes away what an earlier attempt left, but for its log; trial.json first."""
    for part in (folder, folder / SENSITIVE):
        for name in (TRIAL, UNSCORED, SCORES, "ledger.json", "model.safetensors", "samples.png"):
            (part / name).unlink(missing_ok=True)
        samples.clear(part / "samples")
        remove_checkpoints(part / CHECKPOINTS)


@contextmanager
def timed(phase: str, log: Log, seconds: dict[str, float] | None = None) -> Iterator[None]:
    """Logs how long a phase took, and keeps it in `seconds`."""
    start = time.perf_counter()
    log(f"{phase} ...")
    yield
    taken = time.perf_counter() - start
    log(f"{phase}: {taken:.1f} s")
    if seconds is not None:
        seconds[phase] = taken


@contextmanager
def _logged(subject: Subject) -> Iterator[Log]:
    """A trial's log, which also keeps what ended the block early."""
    log = Log(subject.folder / "log.txt")
    try:
        yield log
    except KeyboardInterrupt:
        log("interrupted")
        raise
    except DpbenchError as error:
        log(f"failed: {error}")
        raise
    except Exception as error:  # a plugin is foreign code: whatever it raises becomes one line that names the trial
        log(f"failed:\n{traceback.format_exc()}")
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DpbenchError(f"{subject} failed: {reason} (traceback in {log.path})") from error

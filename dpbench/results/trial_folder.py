"""A trial's folder: its files, reading and writing them, and the lock that a process holds while it works on the trial.

    OUT/<dataset>/<method>/<key>/
        trial.json  scores.json  ledger.json  model.safetensors  samples/  checksums.json  samples.png  log.txt
        README.md    the model card
        drawn/       images that `dpbench sample` drew later
        checkpoints/ checkpoints of an attempt that is not sampled yet
        sensitive/   for undeclared datasets: checkpoints, and files made from un-noised or unverified records (R9)

Writing is atomic, and trial.json comes last. A trial that is sampled but not completely scored has an unscored.json
in its place: interrupted scoring needs no new private training, and scores.json has the metrics that are finished.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dpbench.core.checkpoints import CHECKPOINTS, has_checkpoints, remove_checkpoints
from dpbench.core.errors import DataError, DpbenchError, RunError
from dpbench.core.files import (
    TEMPORARY,
    digest,
    is_there,
    read_json,
    remove,
    remove_unfinished,
    write_json,
    write_text,
)
from dpbench.core.progress import Display
from dpbench.core.specs import DatasetSpec
from dpbench.core.typed_json import read_typed
from dpbench.results import card_file, checksums
from dpbench.results.provenance import now
from dpbench.results.record import OtherFormat, TrialRecord
from dpbench.results.samples import StoredSamples
from dpbench.results.stored_scores import StoredScores, shown

TRIAL = "trial.json"
UNSCORED = "unscored.json"
SCORES = "scores.json"
LEDGER = "ledger.json"
MODEL = "model.safetensors"
SAMPLES = "samples"
PICTURE = "samples.png"
DRAWN, DRAWING = "drawn", ".drawn-"
LOG = "log.txt"
SENSITIVE = "sensitive"
LOCK, HOLDER = ".lock", ".holder"

RESTORE = "restore it, or move the trial's folder away: the trial then runs again, as another private run"
"""Advice for a damaged file that only new training can replace. `--force` would remove every trial of the command."""


def safe_name(name: str) -> str:
    """A folder name for a dataset or method; unchanged if it is valid already ("folder:/a/b" -> "folder-b-<hash>")."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        return name
    kind, _, argument = name.partition(":")
    words = [re.sub(r"[^A-Za-z0-9_-]+", "-", part).strip("-")[:80] for part in (kind, Path(argument).stem)]
    return "-".join([*filter(None, words), digest(name, 6)])


def dataset_folder(out: Path, dataset: str) -> Path:
    """OUT/<dataset>, the folder of all trials on a dataset."""
    return out / safe_name(dataset)


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial.

    Attributes:
        path: OUT/<dataset>/<method>/<key>.
    """

    path: Path

    @classmethod
    def of(cls, out: Path, dataset: str, method: str, key: str) -> TrialFolder:
        """OUT/<dataset>/<method>/<key>."""
        return cls(Path(out, safe_name(dataset), safe_name(method), key))

    @classmethod
    def finished(cls, out: Path) -> list[TrialFolder]:
        """The folders of all finished trials below `out`, sorted."""
        return [cls(path) for path in sorted(out.glob("*/*/*")) if is_there(path / TRIAL)]

    @property
    def is_finished(self) -> bool:
        """Whether the trial is sampled and scored."""
        return is_there(self.path / TRIAL)

    @property
    def is_sampled(self) -> bool:
        """Whether only scores may be missing."""
        return self.is_finished or is_there(self.path / UNSCORED)

    @property
    def log(self) -> Path:
        """The timestamped log of all attempts."""
        return self.path / LOG

    @property
    def results(self) -> Path:
        """The folder of results that it is in."""
        return self.path.absolute().parent.parent.parent

    @property
    def card(self) -> Path:
        """The model card; see `results.model_card`."""
        return self.path / card_file.CARD

    def read(self, key: str | None = None) -> TrialRecord | None:
        """The record of the trial, finished or sampled; None if it is not sampled yet.

        Args:
            key: the trial's key, if it is known.

        Raises:
            DpbenchError: the record is damaged, or belongs to another trial. It is then unknown what was released, so
                the trial must not count as one that has not run.
        """
        path = next(filter(is_there, (self.path / TRIAL, self.path / UNSCORED)), None)
        if path is None:
            return None
        try:
            record = TrialRecord.from_json(read_json(path))
        except OtherFormat as error:
            raise DpbenchError(f"cannot read {path}: {error}") from error
        except DpbenchError as error:
            reason = str(error) if str(path) in str(error) else f"cannot read {path}: {error}"
            raise DpbenchError(f"{reason}; {RESTORE}") from error
        if key is not None and record.key != key:
            raise DpbenchError(f"{path} belongs to trial {record.key}, not to {key}; {RESTORE}")
        return record

    def read_sampled(self) -> TrialRecord:
        """The record of the trial, which is finished or sampled.

        Raises:
            DpbenchError: there is none, or it is damaged; see `read`.
        """
        record = self.read()
        if record is None:
            raise DpbenchError(f"{self.path} has no sampled trial")
        return record

    def write(self, record: TrialRecord) -> None:
        """Writes the record of a trial that is sampled but not yet scored, and the checksums of its other files."""
        home = self.home(record.is_sensitive)
        shards = [path for path in sorted((home / SAMPLES).glob("*")) if not path.name.startswith(TEMPORARY)]
        files = [path for path in [self.path / LEDGER, home / MODEL, *shards] if path.exists()]
        if files:
            checksums.write(home / checksums.FILE, self.path, files)
        write_json(self.path / UNSCORED, record.as_json())

    def finish(self) -> None:
        """Marks the trial as finished."""
        if not self.is_finished:
            (self.path / UNSCORED).replace(self.path / TRIAL)

    @property
    def _redraw(self) -> str:
        """Advice for damaged samples."""
        return f"`dpbench evaluate --all --out {self.results}` draws them again from the model, at no privacy cost"

    def check_samples(self, record: TrialRecord, advice: str = "") -> None:
        """Checks that the stored samples are unchanged.

        Args:
            advice: the end of an error's message; by default, how to draw them again.

        Raises:
            DpbenchError: a file is missing or has changed.
        """
        self._check(record, self.home(record.is_sensitive) / SAMPLES, advice or self._redraw)

    def check_model_and_ledger(self, record: TrialRecord) -> None:
        """Checks that the stored model and ledger are unchanged.

        Raises:
            DpbenchError: a file is missing or has changed.
        """
        self._check(record, self.home(record.is_sensitive) / MODEL, RESTORE)
        self._check(record, self.path / LEDGER, RESTORE)

    def _check(self, record: TrialRecord, part: Path, advice: str) -> None:
        with _advising(advice):
            checksums.check(self.home(record.is_sensitive) / checksums.FILE, self.path, part)

    def samples(self, record: TrialRecord, spec: DatasetSpec | None = None) -> StoredSamples:
        """The trial's samples.

        Args:
            spec: declaration of the dataset that they imitate; by default the record's.

        Raises:
            DpbenchError: a file is missing, or has changed since it was stored.
        """
        self.check_samples(record)
        with _advising(self._redraw):
            stored = StoredSamples(self.home(record.is_sensitive) / SAMPLES, spec or record.spec)
            stored.check_labels()
            return stored

    def home(self, is_sensitive: bool) -> Path:
        """The folder for model and samples."""
        return self.path / SENSITIVE if is_sensitive else self.path

    def workplace(self, public_benchmark: bool) -> Path:
        """The folder for checkpoints and a method's working files; for undeclared data, it is in `sensitive/`."""
        return self.home(is_sensitive=not public_benchmark)

    def checkpoints(self, public_benchmark: bool) -> Path:
        """The folder of the trial's checkpoints."""
        return self.workplace(public_benchmark) / CHECKPOINTS

    def has_checkpoints(self, public_benchmark: bool) -> bool:
        """Whether an interrupted attempt left any."""
        return has_checkpoints(self.checkpoints(public_benchmark))

    def remove_checkpoints(self, public_benchmark: bool) -> None:
        """Removes all checkpoints, and `sensitive/` if it is then empty."""
        remove_checkpoints(self.checkpoints(public_benchmark))
        if not public_benchmark:
            with suppress(OSError):
                (self.path / SENSITIVE).rmdir()

    def clear(self) -> None:
        """Removes everything of an earlier attempt except its log and an edited card.

        trial.json goes first, then the files that another attempt would continue from.
        """
        for name in (TRIAL, UNSCORED, CHECKPOINTS, LEDGER, SCORES, MODEL, SAMPLES, checksums.FILE, PICTURE, DRAWN):
            for part in (self.path, self.path / SENSITIVE):
                remove(part / name)
        if card_file.is_unedited(self.card):
            remove(self.card)

    @contextmanager
    def lock(self, display: Display) -> Iterator[None]:
        """Lets only one process at a time work on a trial: two would release two models, but only one would be counted.

        Waits for the operating system's lock on the folder, and says who holds it. The lock ends with its process. Read
        the record again under the lock: another process may have finished the trial. Incomplete files of a killed
        process are removed.

        Raises:
            RunError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / LOCK)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                display.say(f"  {self._holder()} works on this trial; waiting until it ends (Ctrl-C to give up)")
                lock.acquire()
        except (OSError, NotImplementedError) as error:  # NotImplementedError: the file system has no locks
            raise RunError(f"cannot lock {self.path}: {error}") from error
        try:
            remove_unfinished(self.path, others=(DRAWN, DRAWING))  # `dpbench sample` draws without the lock
            write_text(self.path / HOLDER, f"process {os.getpid()} on {socket.gethostname()}, since {now()}")
            yield
        finally:
            with suppress(OSError):
                (self.path / HOLDER).unlink()
            lock.release()

    def _holder(self) -> str:
        try:
            return (self.path / HOLDER).read_text(encoding="utf-8").strip() or "another process"
        except OSError:
            return "another process"

    def read_scores(self, all_columns: bool = False) -> StoredScores:
        """The content of scores.json.

        Args:
            all_columns: whether to include columns that are kept in `sensitive/`.

        Raises:
            DpbenchError: the file is missing or damaged.
        """
        hidden = self.path / SENSITIVE / SCORES
        path = hidden if all_columns and is_there(hidden) else self.path / SCORES
        try:
            return read_typed(path, StoredScores)
        except DpbenchError as error:
            raise DataError(f"{error}; `dpbench evaluate --all` makes it again from the samples") from error

    def write_scores(
        self, scores: Mapping[str, Any], hidden: Mapping[str, str], caveats: Collection[str], public_benchmark: bool
    ) -> None:
        """Writes scores.json without anything that must not be shown; `sensitive/` then has everything.

        Args:
            hidden: column -> why it must not be shown.
            caveats: the caveats that must not be shown.
            public_benchmark: whether per-image outcomes of the test split may be shown.
        """
        if hidden or caveats or (scores["outcomes"] and not public_benchmark):
            remove(self.path / SCORES)  # a process that is killed here leaves none, and all are computed again
            write_json(self.path / SENSITIVE / SCORES, scores)
            scores = shown(scores, hidden, caveats)
        write_json(self.path / SCORES, scores)


@contextmanager
def _advising(advice: str) -> Iterator[None]:
    """Adds advice to errors of damaged files."""
    try:
        yield
    except DpbenchError as error:
        raise DataError(f"{error}; {advice}") from error

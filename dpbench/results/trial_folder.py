"""A trial's folder: which files it holds, reading them, writing them, and the lock under which a trial is worked on.

    OUT/<dataset>/<method>/<key>/
        trial.json  scores.json  ledger.json  model.safetensors  samples/  samples.png  log.txt
        checkpoints/ of an attempt that is not sampled yet
        sensitive/   of undeclared datasets: checkpoints, and what was made from un-noised or unverified records (R9)

Writing is atomic, and trial.json comes last. A trial that is sampled but not scored has an unscored.json in its place:
scoring that is interrupted needs no new private training.
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
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest, read_json, write_json, write_text
from dpbench.core.progress import Display
from dpbench.results import samples
from dpbench.results.provenance import now
from dpbench.results.record import EarlierFormat, TrialRecord

TRIAL = "trial.json"
UNSCORED = "unscored.json"
SCORES = "scores.json"
LEDGER = "ledger.json"
MODEL = "model.safetensors"
SAMPLES = "samples"
PICTURE = "samples.png"
SENSITIVE = "sensitive"
LOCK, HOLDER = ".lock", ".holder"

RESTORE = "restore it, or run with --force to train on the private data again, as another private run"
"""What to do about a damaged trial.json."""


def safe_name(name: str) -> str:
    """A folder name for a dataset or method; unchanged where it is one already ("folder:/a/b" -> "folder-b-<hash>")."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        return name
    kind, _, argument = name.partition(":")
    words = [re.sub(r"[^A-Za-z0-9_-]+", "-", part).strip("-") for part in (kind, Path(argument).stem)]
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
        return cls(dataset_folder(out, dataset) / safe_name(method) / key)

    @classmethod
    def finished(cls, out: Path) -> list[TrialFolder]:
        """The folders of all finished trials below `out`, sorted."""
        return [cls(path.parent) for path in sorted(out.glob(f"*/*/*/{TRIAL}"))]

    @property
    def is_finished(self) -> bool:
        """Whether the trial is sampled and scored."""
        return os.path.lexists(self.path / TRIAL)

    @property
    def is_sampled(self) -> bool:
        """Whether nothing but scores may be missing."""
        return self.is_finished or os.path.lexists(self.path / UNSCORED)

    def read(self, key: str | None = None) -> TrialRecord | None:
        """The record of the trial, finished or sampled; None if it is not sampled yet.

        Args:
            key: the trial's, if it is known.

        Raises:
            DpbenchError: the record is damaged, or another trial's. It is then unknown what was released, so the trial
                must not count as one that has not run.
        """
        if not self.is_sampled:
            return None
        path = self.path / (TRIAL if self.is_finished else UNSCORED)
        try:
            record = TrialRecord.from_json(read_json(path))
        except EarlierFormat as error:
            raise DpbenchError(f"cannot read {path}: {error}") from error
        except DpbenchError as error:
            reason = str(error) if str(path) in str(error) else f"cannot read {path}: {error}"
            raise DpbenchError(f"{reason}; {RESTORE}") from error
        if key is not None and record.key != key:
            raise DpbenchError(f"{path} belongs to trial {record.key}, not to {key}; {RESTORE}")
        return record

    def write(self, record: TrialRecord) -> None:
        """Writes the record of a trial that is sampled and not scored yet."""
        write_json(self.path / UNSCORED, record.as_json())

    def finish(self) -> None:
        """Marks the trial as finished."""
        if not self.is_finished:
            (self.path / UNSCORED).replace(self.path / TRIAL)

    def home(self, is_sensitive: bool) -> Path:
        """Where model and samples belong."""
        return self.path / SENSITIVE if is_sensitive else self.path

    def workplace(self, public_benchmark: bool) -> Path:
        """Where checkpoints are, and what a method writes while it works: of undeclared data, in `sensitive/`."""
        return self.home(is_sensitive=not public_benchmark)

    def checkpoints(self, public_benchmark: bool) -> Path:
        """The folder of the trial's checkpoints."""
        return self.workplace(public_benchmark) / CHECKPOINTS

    def has_checkpoints(self, public_benchmark: bool) -> bool:
        """Whether an interrupted attempt left any."""
        return has_checkpoints(self.checkpoints(public_benchmark))

    def remove_checkpoints(self, public_benchmark: bool) -> None:
        """Removes them, and `sensitive/` if it is empty then."""
        remove_checkpoints(self.checkpoints(public_benchmark))
        if not public_benchmark:
            with suppress(OSError):
                (self.path / SENSITIVE).rmdir()

    def clear(self) -> None:
        """Removes everything of an earlier attempt but its log; trial.json first."""
        for part in (self.path, self.path / SENSITIVE):
            for name in (TRIAL, UNSCORED, SCORES, LEDGER, MODEL, PICTURE):
                (part / name).unlink(missing_ok=True)
            samples.clear(part / SAMPLES)
            remove_checkpoints(part / CHECKPOINTS)

    @contextmanager
    def lock(self, display: Display) -> Iterator[None]:
        """One process at a time works on a trial: two would release two models where one is counted.

        Waits for the operating system's lock on the folder, and says who has it. The lock ends with its process. Read
        the record again under it: another process may have finished the trial.

        Raises:
            DpbenchError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / LOCK)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                display.say(f"  {self._holder()} works on this trial; waiting until it ends (Ctrl-C to give up)")
                lock.acquire()
        except (OSError, NotImplementedError) as error:  # the second where a file system has no locks
            raise DpbenchError(f"cannot lock {self.path}: {error}") from error
        try:
            write_text(self.path / HOLDER, f"process {os.getpid()} on {socket.gethostname()}, since {now()}")
            yield
        finally:
            (self.path / HOLDER).unlink(missing_ok=True)
            lock.release()

    def _holder(self) -> str:
        try:
            return (self.path / HOLDER).read_text(encoding="utf-8").strip() or "another process"
        except OSError:
            return "another process"

    def read_scores(self, all_columns: bool = False) -> dict[str, Any]:
        """The content of scores.json.

        Args:
            all_columns: also those that are kept in `sensitive/`.

        Raises:
            DpbenchError: it is missing or damaged.
        """
        hidden = self.path / SENSITIVE / SCORES
        path = hidden if all_columns and hidden.exists() else self.path / SCORES
        scores = read_json(path)
        parts = {"values": dict, "missing": dict, "protocol": dict, "caveats": list, "seconds": dict, "ci95": dict}
        if (
            not isinstance(scores, dict)
            or scores.keys() != parts.keys()
            or not all(isinstance(scores[part], kind) for part, kind in parts.items())
        ):
            raise DpbenchError(f"{path} is damaged; `dpbench evaluate --all` makes it again from the samples")
        return scores

    def write_scores(self, scores: Mapping[str, Any], hidden: Mapping[str, str], caveats: Collection[str]) -> None:
        """Writes scores.json. What must not be shown is left out of it; `sensitive/` then has everything.

        Args:
            hidden: column -> why it must not be shown.
            caveats: those that must not be shown.
        """
        if hidden or caveats:
            write_json(self.path / SENSITIVE / SCORES, scores)
            scores = {
                **scores,
                "values": {name: None if name in hidden else value for name, value in scores["values"].items()},
                "ci95": {name: half for name, half in scores["ci95"].items() if name not in hidden},
                "missing": {**scores["missing"], **hidden},
                "caveats": [text for text in scores["caveats"] if text not in caveats],
            }
        write_json(self.path / SCORES, scores)

"""`dpbench export` as a function: packs a finished trial into one file, with a card that is up to date."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dpbench.benchmark.cards import write_card
from dpbench.benchmark.scoring import known_columns, real_beside
from dpbench.core.progress import Display
from dpbench.results import archive
from dpbench.results.record import TrialRecord
from dpbench.results.trial_folder import TrialFolder


class Packed(NamedTuple):
    """What `export_trial` did.

    Attributes:
        record: of the trial.
        path: the archive.
        card_is_own: whether the card in it is one that somebody edited, and that was left as it is.
    """

    record: TrialRecord
    path: Path
    card_is_own: bool


def export_trial(folder: TrialFolder, out: Path | None, with_samples: bool, display: Display) -> Packed:
    """Writes a trial's card anew, unless somebody edited it, and packs the trial.

    Args:
        folder: of a sampled trial.
        out: the file to write; by default one in the current folder, named after method and key.
        with_samples: whether the images go into it.
        display: where progress shows.

    Raises:
        DpbenchError: the trial cannot be packed (see `archive.check`), or a file cannot be written.
    """
    record = folder.read()
    assert record is not None
    path = Path(archive.default_name(record)) if out is None else out
    archive.check(record, folder, path)
    with folder.lock(display):
        is_new = write_card(record, folder, known_columns(), real_beside(record, folder))
        archive.pack(record, folder, path, with_samples, display)
    return Packed(record, path, not is_new)

"""`dpbench export` as a function: packs a finished trial and its updated model card into one file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dpbench.benchmark.reporting.cards import write_card
from dpbench.core.folders import expanded
from dpbench.core.progress import Display, Quiet
from dpbench.results import archive
from dpbench.results.record import TrialRecord
from dpbench.results.trial_search import find_trial


class Packed(NamedTuple):
    """The files that `export` wrote.

    Attributes:
        record: the record of the trial.
        path: the archive.
        card: the trial's model card, which is also in the archive.
        card_is_own: whether the user edited the card, so that it was left as it is.
    """

    record: TrialRecord
    path: Path
    card: Path
    card_is_own: bool


def export(
    trial: Path | str,
    results: Path | str = Path("results"),
    *,
    out: Path | str | None = None,
    samples: bool = True,
    display: Display | None = None,
) -> Packed:
    """Rewrites a finished trial's model card, unless a user edited it, and packs the trial into one zip file.

    Args:
        trial: the trial's folder, or a unique beginning of its key (the folder's name).
        results: folder of results in which a key is looked up.
        out: the file to write; by default METHOD-KEY.zip in the current folder.
        samples: whether to include the images.
        display: where progress shows; by default nowhere.

    Raises:
        DpbenchError: there is no such trial, it cannot be packed (see `archive.check`), or a file cannot be written.
    """
    folder = find_trial(trial, expanded(Path(results)))
    record = folder.read_sampled()
    path = Path(archive.default_name(record)) if out is None else expanded(Path(out))
    archive.check(record, folder, path)
    shown = display or Quiet()
    with folder.lock(shown):
        is_new = write_card(record, folder)
        archive.pack(record, folder, path, samples, shown)
    return Packed(record, path, folder.card, not is_new)

"""A finished trial in one zip file: its model, samples, model card, settings and ledger.

The file holds nothing that must stay secret or that shows real images: no noise key, no checkpoint, nothing from
`sensitive/`, no log, and no scores unless the dataset is declared public.
"""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from dpbench.core.errors import DpbenchError
from dpbench.core.files import is_there, write_atomic
from dpbench.core.progress import Progress, track
from dpbench.results import checksums
from dpbench.results.record import TrialRecord
from dpbench.results.samples import CONDITIONS
from dpbench.results.trial_folder import LEDGER, MODEL, PICTURE, SAMPLES, SCORES, TRIAL, TrialFolder, safe_name

SUFFIX = ".zip"


def default_name(record: TrialRecord) -> str:
    """A file name for the archive of a trial, "wavelet-9f2c04d1a7b35e68.zip"."""
    return f"{safe_name(record.method)}-{record.key}{SUFFIX}"


def check(record: TrialRecord, folder: TrialFolder, out: Path) -> None:
    """Checks that a trial can be packed.

    Raises:
        DpbenchError: it is not finished, has no model, must not be shared or is damaged; or `out` exists or has another
            suffix.
    """
    if not folder.is_finished:
        raise DpbenchError(f"{folder.path} is not scored yet; run the command that started it again, then export it")
    if not record.has_model:
        raise DpbenchError(f"{record} has no model: its images were not drawn by dpbench")
    if record.is_sensitive:
        raise DpbenchError(
            f"{record} is not packed: {record.dataset} is not declared public, and no guarantee protects its records"
        )
    if out.suffix != SUFFIX:
        raise DpbenchError(f"the archive is a zip file: its name must end with {SUFFIX}, unlike {out}")
    if is_there(out):
        raise DpbenchError(f"{out} exists; remove it, or choose another file with --out")
    folder.check_model_and_ledger(record)
    folder.check_samples(record)


def pack(record: TrialRecord, folder: TrialFolder, out: Path, with_samples: bool, progress: Progress) -> None:
    """Writes the archive, which is then complete, or absent after an error.

    Unpacked, it is a folder named after the trial that `dpbench sample` accepts.

    Args:
        record, folder: a trial that `check` accepts, with its card.
        out: the file to write.
        with_samples: whether to include the images; their labels or prompts are always included.
        progress: where progress shows.

    Raises:
        RunError: the file cannot be written, or the disk is full.
    """
    files, root = _files(record, folder, with_samples), out.stem

    def write(temporary: Path) -> None:
        with ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
            for file in track(progress, files, "packing", len(files)):
                archive.write(file, f"{root}/{file.relative_to(folder.path).as_posix()}")
            archive.writestr(f"{root}/{checksums.FILE}", json.dumps(checksums.of(folder.path, files), indent=2) + "\n")

    write_atomic(out, write)


def _files(record: TrialRecord, folder: TrialFolder, with_samples: bool) -> list[Path]:
    """The files that go into the archive, and no others."""
    path = folder.path
    always = [folder.card, path / TRIAL, path / LEDGER, path / MODEL, path / SAMPLES / CONDITIONS]
    scores = [path / SCORES] if record.public_benchmark else []
    images = [path / PICTURE, *sorted((path / SAMPLES).glob("*.npy"))] if with_samples else []
    return [*always, *scores, *filter(is_there, images)]

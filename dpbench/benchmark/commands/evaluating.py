"""`dpbench evaluate IMAGES` as a function: scores images from another program, and adds them as a row.

import dpbench
dpbench.evaluate("their/samples.npz", "mnist", name="pe", epsilon=10, metrics=["fwd", "accuracy"])
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpbench.benchmark.own_samples import open_images
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.scoring import chosen_metrics, score
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.benchmark.trials.trial_run import run_trial
from dpbench.core.errors import DataError, DpbenchError
from dpbench.core.files import digest
from dpbench.core.folders import expanded
from dpbench.core.names import check_name
from dpbench.core.progress import Display, Progress
from dpbench.core.specs import Budget, Conditions, Request, default_delta
from dpbench.core.typed_values import as_declared
from dpbench.data.external.generated import Generated
from dpbench.results import samples
from dpbench.results.best_effort import best_effort
from dpbench.results.leaderboard_file import LeaderboardFile
from dpbench.results.leaderboard_rows import rows_of
from dpbench.results.provenance import provenance
from dpbench.results.record import CLAIMED, TrialRecord, dataset_fields
from dpbench.results.sample_grid import write_grid
from dpbench.results.trial_folder import PICTURE, SAMPLES, TrialFolder
from dpbench.results.trial_log import TrialLog
from dpbench.training.device import describe_device


@dataclass(frozen=True)
class Claim:
    """Claims about images that dpbench did not make. They are noted, not verified, and the images are not ranked.

    Attributes:
        name: the name of the row.
        epsilon: ε; infinity for no noise, 0 for only public data, None for no claim.
        delta: δ.
        public: the public images that were used.
    """

    name: str
    epsilon: float | None = None
    delta: float | None = None
    public: str = ""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(Claim).items():
            object.__setattr__(self, name, as_declared(name, hint, getattr(self, name)))
        if not self.name:
            raise DpbenchError("the images need a name for the leaderboard; give one with --name")
        check_name(self.name, "row")
        if self.name == "real":
            raise DpbenchError("'real' is the name of the rows of real images; give the images another --name")
        if self.epsilon is None and self.delta is not None:
            raise DpbenchError("a claim of δ needs a claim of ε; also give --eps")
        if self.epsilon is not None:
            Budget(self.epsilon, 1e-5 if self.delta is None else self.delta)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What readers must know about ε."""
        return () if self.epsilon is None else (f"ε = {self.epsilon:g} is claimed, not verified",)


def evaluate(
    images: Path | str,
    dataset: str,
    *,
    name: str | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    public: str = "",
    display: Display | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Scores images from another program, keeps them as a trial, and writes OUT/leaderboard.csv.

    The same images under the same name and claim are one trial, however they are packed. A trial is not scored twice;
    only missing metrics are added. For a dataset that is not declared public, images without a finite claim are kept in
    `sensitive/`, like those of a method without noise (rule R9).

    Args:
        images: images of the dataset's size: a folder or zip of image files, with a sub-folder per class or none (see
            `data.external.class_folders`), an .npz file (see `data.external.generated_arrays`), a folder that
            `dpbench sample` wrote, a trial's folder, or its folder of samples.
        dataset: name of the dataset that they imitate.
        name: the name of the row, by default the file's name without suffix.
        epsilon: see `Claim`.
        delta: see `Claim`.
        public: see `Claim`.
        display: where progress shows.
        **options: further fields of `RunRequest`: references ("real" or none), metrics, protocol, resolution,
            public_benchmark, data, download, device, out, plugins.

    Returns:
        One line for the images, and one per reference; columns as in `results.row`.

    Raises:
        DpbenchError: the request or the images are wrong; then nothing has been written.
    """
    path = expanded(as_declared("images", Path, images))
    claim = Claim(stem(path) if name is None else name, epsilon, delta, public)
    request = RunRequest.of(dataset=dataset, **{"references": ("real",), **options})
    request.load_plugins()
    return evaluate_images(path, claim, request, display)


def evaluate_images(path: Path, claim: Claim, request: RunRequest, display: Display | None = None) -> pd.DataFrame:
    """`evaluate` for a request."""
    metrics = chosen_metrics(request)
    for reference in request.references:
        if reference != "real":
            raise DpbenchError(f"images from another program have only the reference row 'real', not '{reference}'")
    with Session.open(request, display, writes=True) as session:
        spec = session.inputs.spec
        generated = open_images(path, spec)
        content = samples.fingerprint(_followed(generated, session.display, "reading"), generated.labels)
        for remark in generated.remarks:
            session.display.say(remark)
        record = _record(claim, content, generated, session)
        folder = TrialFolder.of(request.out, spec.name, claim.name, record.key)
        real = TrialSpec.real(
            spec, record.dataset_fingerprint, Request(Conditions(len(generated))), default_delta(spec.n_train)
        )
        total = 1 + len(request.references)
        try:
            session.display.say(f"[1/{total}] {record}")
            with folder.lock(session.display):
                stored = folder.read(record.key) or _kept(record, content, generated, folder, session)
                score(stored, folder, metrics, session)
            if request.references:
                session.display.say(f"[2/{total}] {real}")
                run_trial(real, session, metrics)
        finally:
            if folder.is_finished:
                rows = LeaderboardFile(request.out).write()
    return rows_of(rows, [record.key, real.key][:total])


def _record(claim: Claim, content: str, generated: Generated, session: Session) -> TrialRecord:
    """The record of the images. dpbench ran none of it."""
    spec = session.inputs.spec
    fingerprint = session.inputs.fingerprint(session.inputs.train)
    parts = [claim.name, str(claim.epsilon), claim.delta, claim.public]
    return TrialRecord(
        key=digest(["external", content, parts, fingerprint, spec.shape]),
        method=claim.name,
        reference="external",
        epsilon=claim.epsilon,
        delta=claim.delta,
        accounting="" if claim.epsilon is None else CLAIMED,
        config={"images": content},
        public_source=claim.public,
        remarks=(*claim.remarks, *generated.remarks),
        request=session.request.stored(),
        **dataset_fields(spec, fingerprint),
        **provenance(describe_device(session.device), 1, session.precision),
    )


def _kept(
    record: TrialRecord, content: str, generated: Generated, folder: TrialFolder, session: Session
) -> TrialRecord:
    """Copies the images into the trial's folder."""
    log = TrialLog(folder.log)
    with log.errors_of(record):
        folder.clear()
        log(f"{len(generated)} images from {generated.path}")
        home = folder.home(record.is_sensitive)
        for number, part in enumerate(_followed(generated, session.display, "copying")):
            samples.write_shard(home / SAMPLES, number, part)
        labels = None if generated.labels is None else tuple(generated.labels.tolist())
        samples.write_conditions(home / SAMPLES, Conditions(len(generated), labels))
        stored = samples.StoredSamples(home / SAMPLES, record.spec)
        if stored.fingerprint != content:
            raise DataError(f"{generated.path} changed while it was read; run the same command again")
        with best_effort(home / PICTURE):
            write_grid(home / PICTURE, stored, str(record))
        folder.write(record)
    return record


def _followed(generated: Generated, progress: Progress, name: str) -> Iterator[NDArray[np.uint8]]:
    """The images in parts, with a bar that counts them."""
    with progress.phase(name, len(generated)) as advance:
        for part in generated.parts():
            yield part
            advance(len(part))


def stem(path: Path) -> str:
    """The default name of images: the file's name without suffix, or the folder's."""
    path = path.resolve()
    return path.name if os.path.isdir(path) else path.stem

"""`dpbench evaluate IMAGES` as a function: scores images that something else generated, and adds them as a row.

import dpbench
dpbench.evaluate("their/samples.npz", "mnist", name="pe", epsilon=10, metrics=["fwd", "accuracy"])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpbench.benchmark.bench import Bench
from dpbench.benchmark.execute import execute
from dpbench.benchmark.finish import Make, finish, settle
from dpbench.benchmark.launch import Launch
from dpbench.benchmark.lock import locked
from dpbench.benchmark.log import Log
from dpbench.benchmark.places import data_folder
from dpbench.benchmark.scoring import known_columns, metric_columns
from dpbench.benchmark.sources import Sources
from dpbench.benchmark.subject import Subject, dataset_fields
from dpbench.benchmark.trial import Trial, dataset_folder
from dpbench.core.cache import PublicCache
from dpbench.core.data import DataOptions
from dpbench.core.errors import DataError, DpbenchError
from dpbench.core.files import digest
from dpbench.core.folders import cache_folder, check_writable, state_folder
from dpbench.core.progress import Display, Progress, Quiet
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request, default_delta
from dpbench.data.external.generated import Generated
from dpbench.data.opening import open_generated
from dpbench.evaluation.evaluator import default_metrics
from dpbench.results import samples
from dpbench.results.gathering import FILE, collect, read_rows, write_csv
from dpbench.results.row import CLAIMED
from dpbench.results.sample_grid import write_grid
from dpbench.results.store import TRIAL, safe_name
from dpbench.training.device import resolve_device, resolve_precision


@dataclass(frozen=True)
class External:
    """Images from elsewhere as a trial. dpbench has run nothing of it: what is claimed is noted, and never ranked.

    Attributes:
        name: what the row is called, in place of a method.
        images: fingerprint of the images and their labels.
        spec: what the dataset declares that they imitate.
        fingerprint: of its train split.
        epsilon: claimed; None for no claim.
        delta: claimed.
        public: which public images are said to have been used.
    """

    name: str
    images: str
    spec: DatasetSpec
    fingerprint: str
    epsilon: float | None = None
    delta: float | None = None
    public: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise DpbenchError("the images need a name in the leaderboard; give one with --name")
        if self.epsilon is None and self.delta is not None:
            raise DpbenchError("a claim of δ needs a claim of ε; give --eps, too")
        if self.epsilon is not None:
            Budget(self.epsilon, default_delta(self.spec.n_train) if self.delta is None else self.delta)

    @property
    def claim(self) -> list[str]:
        """What a reader has to know of ε."""
        return [] if self.epsilon is None else [f"ε = {self.epsilon:g} is claimed, not verified"]

    @property
    def key(self) -> str:
        """A short hash of what defines the trial."""
        claim = [self.name, str(self.epsilon), self.delta, self.public]
        return digest(["external", self.images, claim, self.fingerprint, self.spec.shape])

    def fields(self) -> dict[str, Any]:
        """What trial.json says about it: columns of the row, and the dataset's shape and classes."""
        return {
            "key": self.key,
            "method": self.name,
            "variant": "",
            "reference": "external",
            "method_version": "",
            "track": "",
            **dataset_fields(self.spec, self.fingerprint),
            "epsilon": self.epsilon,
            "delta": self.delta,
            "accounting": "" if self.epsilon is None else CLAIMED,
            "seed": None,
            "config": {"images": self.images},
            "public_source": self.public,
        }

    def subject(self, out: Path) -> Subject:
        """What is to be scored of it, in OUT/<dataset>/<name>/<key>."""
        return Subject.of(self.fields(), dataset_folder(out, self.spec.name) / safe_name(self.name) / self.key)


def evaluate(
    images: Path | str,
    dataset: str,
    *,
    name: str | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    public: str = "",
    references: Iterable[str] = ("real",),
    metrics: Sequence[str] | None = None,
    resolution: int | None = None,
    data: Path | None = None,
    download: bool = False,
    public_benchmark: bool = False,
    device: str = "auto",
    out: Path | str = Path("results"),
    display: Display | None = None,
) -> pd.DataFrame:
    """Scores images that something else generated, keeps them as a trial, and writes OUT/leaderboard.csv.

    The same images under the same name and claim are one trial, however they are packed: it is not scored twice, and
    metrics that it has no value of are added. Of a dataset that is not declared public, images without a finite claim
    stay in `sensitive/`, as those of a method without noise do (rule R9).

    Args:
        images: a folder or zip of image files, a sub-folder per class or none (see `data.external.class_folders`),
            or an .npz file (see `data.external.generated_arrays`); of the dataset's size.
        dataset: name of the dataset that they imitate.
        name: what the row is called, by default the file's name without suffix.
        epsilon: the ε that is claimed for them; infinity for no noise, 0 for public data alone. Noted, not verified.
        delta: the δ that is claimed.
        public: which public images are said to have been used; a label.
        references: reference rows to add: "real", or none.
        metrics: names of metrics, by default all.
        resolution: of the dataset, by default its own.
        data: data folder, by default DPBENCH_DATA or the user's cache.
        download: whether a missing dataset may be downloaded.
        public_benchmark: declares a folder of images a public benchmark (rule R9).
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        out: where results go.
        display: where progress shows.

    Returns:
        One line for the images, and one per reference; columns as in `results.row`.

    Raises:
        DpbenchError: anything is wrong with the request or the images; then nothing has been written.
    """
    images, out, display = Path(images).expanduser(), Path(out), display or Quiet()
    metrics = default_metrics() if metrics is None else list(dict.fromkeys(metrics))
    metric_columns(metrics)
    _check_references(references := tuple(references))
    check_writable(out)
    launch = Launch(resolve_device(device))
    options = DataOptions(data_folder(data), resolution, download, public_benchmark)
    sources = Sources(dataset, None, options, state_folder())
    spec, generated = sources.spec, open_generated(images, sources.spec)
    content = samples.fingerprint(_followed(generated, display, "reading"), generated.labels)
    for remark in generated.remarks:
        display.say(remark)
    train = sources.fingerprint(sources.train)
    external = External(_stem(images) if name is None else name, content, spec, train, epsilon, delta, public)
    precision, cache = resolve_precision("auto", launch.device), PublicCache(cache_folder() / "public")
    bench = Bench(sources, launch, precision, cache, display, out)
    todo: list[tuple[Subject, Make]] = [(external.subject(out), partial(_keep, external, generated, bench))]
    if references:
        real = Trial.real(spec, train, Request(Conditions(len(generated))), default_delta(spec.n_train))
        todo.append((real.subject(out), partial(execute, real, None, None, bench)))
    try:
        for number, (subject, make) in enumerate(todo, start=1):
            display.say(f"[{number}/{len(todo)}] {subject}")
            with locked(subject.folder, display):
                settle(subject, metrics, display, partial(finish, subject, bench=bench, make=make))
    finally:
        if any((subject.folder / TRIAL).exists() for subject, _ in todo):
            write_csv(collect(out, known_columns()), out / FILE)
    return read_rows([subject.folder for subject, _ in todo], metric_columns(metrics))


def _keep(external: External, generated: Generated, bench: Bench, log: Log) -> dict[str, Any]:
    """Copies the images into the trial's folder, and gives back what trial.json says of the trial."""
    log(f"{len(generated)} images from {generated.path}")
    home = external.subject(bench.out).home
    samples.clear(home / "samples")
    for number, part in enumerate(_followed(generated, bench.display, "copying")):
        samples.write_shard(home / "samples", number, part)
    labels = None if generated.labels is None else tuple(generated.labels.tolist())
    samples.write_conditions(home / "samples", Conditions(len(generated), labels))
    stored = samples.StoredSamples(home / "samples", external.spec)
    if stored.fingerprint != external.images:
        raise DataError(f"{generated.path} changed while it was read; run the same command again")
    write_grid(home / "samples.png", stored, str(external.subject(bench.out)))
    return external.fields() | {"remarks": [*external.claim, *generated.remarks]}


def _followed(generated: Generated, progress: Progress, name: str) -> Iterator[NDArray[np.uint8]]:
    """The images' parts, while a bar counts images."""
    with progress.phase(name, len(generated)) as advance:
        for part in generated.parts():
            yield part
            advance(len(part))


def _check_references(names: Sequence[str]) -> None:
    for name in names:
        if name != "real":
            raise DpbenchError(f"images from elsewhere have the reference row 'real' alone, not '{name}'")


def _stem(path: Path) -> str:
    path = path.resolve()
    return path.name if path.is_dir() else path.stem

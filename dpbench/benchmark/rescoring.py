"""`dpbench evaluate --all` as a function: fills the empty cells of finished trials from their stored samples.

import dpbench
dpbench.evaluate_all("results", metrics=["fid", "kid"])
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from dpbench.benchmark.bench import Bench
from dpbench.benchmark.finish import add_scores, settle
from dpbench.benchmark.launch import Launch
from dpbench.benchmark.lock import locked
from dpbench.benchmark.places import data_folder
from dpbench.benchmark.scoring import known_columns, metric_columns
from dpbench.benchmark.sources import Sources
from dpbench.benchmark.subject import Subject
from dpbench.core.cache import PublicCache
from dpbench.core.data import DataOptions
from dpbench.core.errors import DataError, DpbenchError, UnknownName
from dpbench.core.folders import cache_folder, check_writable, state_folder
from dpbench.core.progress import Display, Quiet
from dpbench.evaluation.evaluator import default_metrics
from dpbench.results.gathering import FILE, collect, read_rows, write_csv
from dpbench.results.store import TRIAL
from dpbench.training.device import resolve_device, resolve_precision


class Unscored(DpbenchError):
    """Some trials could not be scored. All others were.

    Attributes:
        rows: what `evaluate_all` would have given back.
    """

    def __init__(self, failed: int, rows: pd.DataFrame):
        super().__init__(f"{failed} of {len(rows)} trials could not be scored; the reasons stand above")
        self.rows = rows


def evaluate_all(
    out: Path | str = Path("results"),
    metrics: Sequence[str] | None = None,
    *,
    datasets: Sequence[str] = (),
    data: Path | None = None,
    download: bool = False,
    device: str = "auto",
    display: Display | None = None,
) -> pd.DataFrame:
    """Computes what finished trials have no value of yet, without training, and writes OUT/leaderboard.csv.

    A trial's method need not be installed. A score that is added later is the one that would have been computed at
    first. A cell that stayed empty for a reason (weights that were missing) is tried again.

    Args:
        out: folder of results.
        metrics: names of metrics, by default all.
        datasets: only trials on these, where any are named.
        data: data folder, by default DPBENCH_DATA or the user's cache.
        download: whether missing datasets may be downloaded.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        display: where progress shows.

    Returns:
        One line per trial, in the order in which they were scored; columns as in `results.row`.

    Raises:
        Unscored: a trial could not be scored (another dataset lies where its own lay, its samples are damaged ...);
            all others have been.
        DpbenchError: anything is wrong with the request; then nothing has been written.
    """
    out, display = Path(out), display or Quiet()
    metrics = default_metrics() if metrics is None else list(dict.fromkeys(metrics))
    columns = metric_columns(metrics)
    subjects = _finished(out, datasets)
    check_writable(out)
    bench_for = _benches(
        DataOptions(data_folder(data), download=download), Launch(resolve_device(device)), display, out
    )
    failed = 0
    try:
        for number, subject in enumerate(subjects, start=1):
            display.say(f"[{number}/{len(subjects)}] {subject}, {subject.dataset}")
            try:
                with locked(subject.folder, display):
                    settle(subject, metrics, display, lambda left: add_scores(subject, left, bench_for(subject)))  # noqa: B023
            except DpbenchError as error:
                failed += 1
                warnings.warn(f"not scored: {subject} ({subject.folder}): {error}", stacklevel=2)
    finally:
        write_csv(collect(out, known_columns()), out / FILE)
    rows = read_rows([subject.folder for subject in subjects], columns)
    if failed:
        raise Unscored(failed, rows)
    return rows


def _finished(out: Path, datasets: Sequence[str]) -> list[Subject]:
    """The finished trials below `out`, those of one dataset and resolution together; a damaged one is warned of."""
    found = []
    for path in sorted(out.glob(f"*/*/*/{TRIAL}")):
        try:
            found.append(Subject.read(path.parent))
        except DpbenchError as error:
            warnings.warn(f"left out: {error}", stacklevel=3)
    if not found:
        raise DpbenchError(f"no finished trials lie in {out}; `dpbench run` makes some, --out says where they are")
    for name in datasets:
        if name not in {subject.dataset for subject in found}:
            raise UnknownName("dataset with results", name, {subject.dataset for subject in found})
    chosen = [subject for subject in found if not datasets or subject.dataset in datasets]
    return sorted(chosen, key=lambda s: (s.dataset, s.resolution, s.public_benchmark))


def _benches(options: DataOptions, launch: Launch, display: Display, out: Path) -> Callable[[Subject], Bench]:
    """What opens a trial's dataset, once for trials that follow each other, and makes sure that it is the trial's."""

    @lru_cache(maxsize=1)
    def bench(dataset: str, resolution: int, public_benchmark: bool) -> Bench:
        asked = DataOptions(options.root, resolution, options.download, public_benchmark)
        sources = Sources(dataset, None, asked, state_folder())
        precision, cache = resolve_precision("auto", launch.device), PublicCache(cache_folder() / "public")
        return Bench(sources, launch, precision, cache, display, out)

    def bench_for(subject: Subject) -> Bench:
        found = bench(subject.dataset, subject.resolution, subject.public_benchmark)
        fingerprint = found.sources.fingerprint(found.sources.train)
        if fingerprint != subject.fingerprint:
            raise DataError(
                f"'{subject.dataset}' has the fingerprint {fingerprint}, not {subject.fingerprint}: other images, or "
                "another user's undeclared ones; --data says where datasets are"
            )
        return found

    return bench_for

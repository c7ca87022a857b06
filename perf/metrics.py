"""Cost of feature-based metrics: tables of run time and peak memory on simulated features.

    python perf/metrics.py                      # all tables
    python perf/metrics.py --table frechet      # Fréchet distance in 2,048 dimensions, compared with SciPy
    python perf/metrics.py --table memory       # peak memory for 10,000 and 50,000 images

Features are products of a few random factors plus noise, clamped at 0 like those of a ReLU network; images and weights
are not needed. `TABLES` has one function per table.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import scipy.linalg
import torch
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.errors import UnknownName
from dpbench.core.registries import METRICS
from dpbench.evaluation.features import Array, Features, write_features
from dpbench.metrics.statistics import frechet
from dpbench.metrics.statistics.gaussians import fit
from perf._measure import peak_of

SIZE = 2048
FACTORS = 256
IMAGES = (10_000, 50_000)
REFERENCE = 10_000
METRICS_OF_FEATURES = ("fid", "fid-train", "kid", "cmmd", "inception-score", "prdc", "fld")


def simulated(count: int, seed: int, block: int = 1000) -> Iterator[Array]:
    """Blocks of simulated features, float32 [b, SIZE]; their distribution depends slightly on the seed."""
    mixing = np.random.default_rng(0).normal(size=(FACTORS, SIZE)) * np.logspace(0, -1.5, FACTORS)[:, None]
    rng = np.random.default_rng(seed)
    for start in range(0, count, block):
        b = min(block, count - start)
        x = (1 + 0.02 * seed) * rng.normal(size=(b, FACTORS)) @ mixing / 8 + 0.01 * rng.normal(size=(b, SIZE))
        yield np.maximum(x, 0).astype(np.float32)


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def frechet_table(rounds: int) -> Table:
    """Fréchet distance of fitted Gaussians, compared with the matrix square root used by clean-fid and pytorch-fid."""
    p, q = (fit(block[:, None] for block in simulated(REFERENCE, seed)) for seed in (1, 2))
    s, t = p.covariance[0], q.covariance[0]
    apart = float(np.square(p.mean - q.mean).sum() + np.trace(s) + np.trace(t))

    def by_sqrtm() -> float:
        return apart - 2 * float(np.trace(scipy.linalg.sqrtm(s @ t)).real)

    def ours() -> float:
        return float(frechet.transport(p, q).distance[0])

    times = [(seconds(ours), seconds(by_sqrtm)) for _ in range(rounds)]
    fast, slow = (statistics.median(column) for column in zip(*times, strict=True))
    table = Table("ours [s]", "sqrtm [s]", "ratio", "difference", title=f"Fréchet distance of {SIZE} features")
    ratio = statistics.median(b / a for a, b in times)
    table.add_row(f"{fast:.2f}", f"{slow:.2f}", f"{ratio:.1f}", f"{abs(ours() / by_sqrtm() - 1):.0e}")
    return table


class Simulated:
    """The part of an evaluation that metrics use, without images: the same features from a folder for any extractor."""

    def __init__(self, folder: Path, count: int):
        self.folder, self.count = folder, count
        self.run = RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(folder))

    def features(self, extractor: str, most: int | None = None) -> tuple[Features, Features]:
        return self.synthetic_features(extractor), self._stored("reference", REFERENCE)

    def synthetic_features(self, extractor: str, most: int | None = None) -> Features:
        return self._stored("synthetic", self.count)

    def train_features(self, extractor: str, most: int | None = None) -> Features:
        return self._stored("train", IMAGES[-1])

    def extractor(self, name: str) -> Logits:
        return Logits()

    def _stored(self, role: str, count: int) -> Features:
        return Features(self.folder / f"{role}-{count}.npy")


class Logits:
    """The last layer of a classifier with random weights, as a stand-in for an extractor."""

    def __init__(self) -> None:
        self.weights = torch.randn(SIZE, 1008, generator=torch.Generator().manual_seed(0))

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        return features @ self.weights


def compute(metric: str, folder: Path, count: int, threads: int) -> None:
    torch.set_num_threads(threads)
    METRICS.get(metric)().compute(Simulated(folder, count))


def memory_table(rounds: int) -> Table:
    """Peak memory of each metric in its own process, beyond the memory in use before it."""
    title = f"peak memory [MiB] and seconds, {REFERENCE:,} reference and {IMAGES[-1]:,} train images"
    table = Table("metric", *(f"{n:,} images" for n in IMAGES), title=title)
    with tempfile.TemporaryDirectory() as folder:
        for role, seed, counts in (("synthetic", 1, IMAGES), ("reference", 2, (REFERENCE,)), ("train", 3, IMAGES[-1:])):
            for count in counts:
                write_features(Path(folder, f"{role}-{count}.npy"), count, simulated(count, seed))
        for metric in METRICS_OF_FEATURES:
            cells = []
            for count in IMAGES:
                peak, took = peak_of(compute, metric, Path(folder), count, torch.get_num_threads())
                cells.append(f"{peak / 2**20:.0f} ({took:.0f} s)")
            table.add_row(metric, *cells)
    return table


TABLES: dict[str, Callable[[int], Table]] = {"frechet": frechet_table, "memory": memory_table}


def main(
    table: Annotated[list[str] | None, typer.Option(help=f"repeatable; one of {', '.join(TABLES)}")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of torch; 0 for its default")] = 0,
    rounds: Annotated[int, typer.Option(help="timings per implementation; memory is measured once")] = 3,
) -> None:
    """Prints the tables."""
    if threads:
        torch.set_num_threads(threads)
    for name in table or TABLES:
        if name not in TABLES:
            raise typer.BadParameter(str(UnknownName("table", name, TABLES)))
        Console(width=None if sys.stdout.isatty() else 120).print(TABLES[name](rounds))


if __name__ == "__main__":
    typer.run(main)

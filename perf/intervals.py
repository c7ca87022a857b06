"""Coverage of intervals: a table of columns and numbers of images, on simulated features.

    python perf/intervals.py
    python perf/intervals.py --sets 1000 --images 200,1000 --metrics fid,prdc

Every metric scores many fresh sets of synthetic images against one reference set. An interval covers if it contains the
mean of the score over these sets. Next to the coverage, the table has the mean half-width divided by 1.96 standard
deviations of the score. The synthetic images follow the distribution of the reference images ("same") or another one
("other").

Features are products of a few random factors plus noise, clamped at 0 like those of a ReLU network.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.metric import Estimate
from dpbench.core.registries import METRICS
from dpbench.core.specs import DatasetSpec
from dpbench.evaluation.caveats import collect_caveats
from dpbench.evaluation.features import Array, Features
from dpbench.metrics import kid

SIZE, FACTORS, REFERENCE = 64, 16, 2000
SUBSETS = 20
"""Subsets of KID, fewer than usual to save time."""
SYNTHETIC = {"same": (1.0, 0.0), "other": (1.3, 0.2)}
"""Name -> scale of the factors and shift of the features; the reference has 1 and 0."""


def simulated(count: int, scale: float, shift: float, rng: np.random.Generator) -> Array:
    """Features, float32 [count, SIZE]."""
    mixing = np.random.default_rng(0).normal(size=(FACTORS, SIZE)) / FACTORS**0.5
    x = 1.4 * scale * rng.normal(size=(count, FACTORS)) @ mixing + shift + 0.1 * rng.normal(size=(count, SIZE))
    return np.maximum(x, 0).astype(np.float32)


class InMemory(Features):
    """Features without a file."""

    def __init__(self, x: Array):
        self.x, self.labels, self.shape = x, None, x.shape[1:]
        self.made: dict[str, dict[str, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.x)

    def blocks(self) -> Iterator[Array]:
        yield self.x

    def rows(self, indices: np.ndarray, within: slice = slice(None)) -> Array:
        return self.x[indices, within]

    def derived(self, name: str, make) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]
        if name not in self.made:
            self.made[name] = dict(make())
        return self.made[name]


class Simulated:
    """The part of an evaluation that metrics use, without images: the same features for every extractor."""

    spec = DatasetSpec("simulated", 1, 32, REFERENCE, REFERENCE, None, True)

    def __init__(self, synthetic: Features, reference: Features, seed: int):
        self.sets = synthetic, reference
        self.run = RunContext("cpu", torch.Generator().manual_seed(seed), PublicCache(Path("unused")))

    def features(self, extractor: str, most: int | None = None) -> tuple[Features, Features]:
        return self.sets

    def synthetic_features(self, extractor: str, most: int | None = None) -> Features:
        return self.sets[0]

    def extractor(self, name: str) -> Simulated:
        return self

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        return 3 * features[:, :20]


def estimates(metric: str, count: int, kind: str, sets: int) -> Mapping[str, list[Estimate]]:
    """Column -> its value with interval for each of `sets` fresh sets of `count` images."""
    rng = np.random.default_rng(0)
    reference = InMemory(simulated(REFERENCE, 1, 0, rng))
    found = defaultdict(list)
    with collect_caveats():
        for seed in range(sets):
            synthetic = InMemory(simulated(count, *SYNTHETIC[kind], rng))
            for column, value in METRICS.get(metric)().compute(Simulated(synthetic, reference, seed)).items():
                found[column].append(value)
    return found


def coverage(found: list[Estimate]) -> str:
    """The share of intervals that contain the mean value, and their width relative to its spread."""
    value, half = np.array([(estimate.value, estimate.ci95) for estimate in found]).T
    return f"{np.mean(abs(value - value.mean()) <= half):.2f} ({half.mean() / (1.96 * value.std()):.2f})"


def main(
    sets: Annotated[int, typer.Option(help="fresh sets")] = 300,
    images: Annotated[str, typer.Option(help="numbers of synthetic images")] = "200,500",
    metrics: Annotated[str, typer.Option(help="names of metrics")] = "fid,kid,cmmd,inception-score,prdc,texture",
) -> None:
    """Prints the table, in Markdown."""
    kid.SUBSETS = SUBSETS
    cases = [(kind, int(count)) for kind in SYNTHETIC for count in images.split(",")]
    print("| column |", " | ".join(f"{kind}, {count}" for kind, count in cases), "|")
    print("|---" * (len(cases) + 1) + "|")
    for metric in metrics.split(","):
        found = [estimates(metric, count, kind, sets) for kind, count in cases]
        for column in found[0]:
            print(f"| `{column}` |", " | ".join(coverage(case[column]) for case in found), "|", flush=True)


if __name__ == "__main__":
    typer.run(main)

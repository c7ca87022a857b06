"""What the memorisation columns see: false alarms on honest images, and power on planted copies.

    python perf/planted_copies.py                                          # shapes
    python perf/planted_copies.py --dataset mnist,cifar10 --data DIR
    python perf/planted_copies.py --draws 10 --planted 2                   # a quick look

In each draw, three disjoint random parts of a dataset's train split serve as train, the reference, and the images of an
honest generator. Each kind of copy replaces a share of the honest images. The script prints one Markdown table per
dataset: the mean of each column, and the share of draws in which it is off chance, that is, 0 is outside its interval.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.data import DataOptions, ImageDataset
from dpbench.data.arrays import ArrayDataset, Subset
from dpbench.data.opening import default_root, open_dataset
from dpbench.evaluation.evaluator import evaluate
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.scores import Scores
from dpbench.metrics.memorisation import Memorisation

SAMPLES, TRAIN, REFERENCE = 1000, 10_000, 2000
"""Number of images in each part."""


def noisy(images: Tensor) -> Tensor:
    """Noise with a standard deviation of 4 grey levels."""
    noise = 4 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + noise).round().clamp(0, 255).to(torch.uint8)


def shifted(images: Tensor) -> Tensor:
    """One pixel down and one to the right; edges are repeated."""
    edges = torch.nn.functional.pad(images.float(), (1, 0, 1, 0), mode="replicate")
    return edges[..., :-1, :-1].to(torch.uint8)


def one_bit(images: Tensor) -> Tensor:
    changed = images.clone()
    changed[..., 0, 0] ^= 1
    return changed


class Kind(NamedTuple):
    """Images that replace a share of the honest ones: changed images of train or, if `leaked`, of the reference."""

    share: float
    change: Callable[[Tensor], Tensor] = Tensor.clone
    leaked: bool = False


HONEST = "honest"
KINDS = {
    HONEST: Kind(0),
    "1% copies": Kind(0.01),
    "5% copies": Kind(0.05),
    "20% copies": Kind(0.2),
    "100% copies": Kind(1),
    "5% noisy": Kind(0.05, noisy),
    "5% shifted": Kind(0.05, shifted),
    "5% mirrored": Kind(0.05, lambda images: images.flip(-1)),
    "5% mirrored, shifted, noisy": Kind(0.05, lambda images: noisy(shifted(images.flip(-1)))),
    "20% of the reference, one bit changed": Kind(0.2, one_bit, leaked=True),
}


def scores(whole: ImageDataset, kinds: dict[str, Kind], draw: int, folder: Path) -> Iterator[tuple[str, Scores]]:
    """The memorisation columns for each kind, in one draw of the parts."""
    rng = np.random.default_rng(draw)
    order = rng.permutation(len(whole))[: SAMPLES + TRAIN + REFERENCE]
    honest, members, others = np.split(order, [SAMPLES, SAMPLES + TRAIN])
    cache = EvaluationCache(folder / str(draw))
    for name, kind in kinds.items():
        copied = rng.choice(others if kind.leaked else members, int(kind.share * SAMPLES))
        images = torch.cat([kind.change(pixels(whole, copied)), pixels(whole, honest[len(copied) :])])
        synthetic = ArrayDataset(whole.spec, images, torch.zeros(SAMPLES, dtype=torch.int64))
        run = RunContext("cpu", torch.Generator().manual_seed(draw), PublicCache(folder))
        train, reference = (Subset(whole, np.sort(part)) for part in (members, others))
        yield name, evaluate(["memorisation"], synthetic, reference, run, train, cache)


def pixels(images: ImageDataset, rows: NDArray[np.int64]) -> Tensor:
    """uint8 [len(rows), c, h, w], also for no rows."""
    if not len(rows):
        return torch.zeros(0, *images.spec.shape, dtype=torch.uint8)
    found = images.batch(rows.tolist()).images
    assert found is not None
    return found


def table(found: dict[str, list[Scores]]) -> list[str]:
    """Lines of Markdown."""
    columns = [column.name for column in Memorisation.columns]
    lines = ["| images | draws | " + " | ".join(f"`{c}` | off chance" for c in columns) + " |"]
    lines.append("|---|--:|" + "--:|--:|" * len(columns))
    for kind, draws in found.items():
        cells = []
        for column in columns:
            values = np.array([scores.values[column] for scores in draws], float)
            halves = np.array([scores.ci95[column] for scores in draws])
            cells += [f"{values.mean():.3f}", f"{100 * (abs(values) > halves).mean():.0f}%"]
        lines.append(f"| {kind} | {len(draws)} | " + " | ".join(cells) + " |")
    return lines


def main(
    dataset: Annotated[str, typer.Option(help="datasets with classes, separated by commas")] = "shapes",
    data: Annotated[Path | None, typer.Option(help="data folder; by default that of dpbench")] = None,
    draws: Annotated[int, typer.Option(help="draws of honest images")] = 200,
    planted: Annotated[int, typer.Option(help="draws of every kind of copies, at most --draws")] = 20,
) -> None:
    """Prints the tables."""
    torch.set_num_threads(1)
    for name in dataset.split(","):
        whole = open_dataset(name, DataOptions(data or default_root())).train()
        found: dict[str, list[Scores]] = {kind: [] for kind in KINDS}
        for draw in range(draws):
            kinds = KINDS if draw < planted else {HONEST: KINDS[HONEST]}
            with tempfile.TemporaryDirectory() as folder:
                for kind, scored in scores(whole, kinds, draw, Path(folder)):
                    found[kind].append(scored)
            print(f"{name}: draw {draw + 1} of {draws}", end="\r", file=sys.stderr, flush=True)
        print(f"\n{name}\n", *table(found), sep="\n")


if __name__ == "__main__":
    typer.run(main)

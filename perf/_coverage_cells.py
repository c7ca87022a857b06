"""The evaluations behind `coverage.py`, each stored in a separate file as soon as it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.errors import DataError, DpbenchError
from dpbench.core.files import digest, read_json, write_json
from dpbench.evaluation.evaluator import evaluate, evaluate_real
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.scores import Scores
from perf._coverage_sets import CORRUPTIONS, OF_CLASSES, Draws, Sets, corrupted

SAMPLES_ANEW, ALL_ANEW, REAL = "samples anew", "all sets anew", "real row"


@dataclass(frozen=True)
class Cell:
    """One evaluation.

    Attributes:
        images: the images to score: `SAMPLES_ANEW`, `ALL_ANEW`, `REAL` or one of `CORRUPTIONS`.
        number: number of the draw.
    """

    images: str
    number: int = 0


@dataclass(frozen=True)
class Found:
    """The result of an evaluation; `refused` is the reason why the images were not scored, or ""."""

    values: Mapping[str, float | None] = field(default_factory=dict)
    ci95: Mapping[str, float] = field(default_factory=dict)
    caveats: Sequence[str] = ()
    refused: str = ""
    seconds: float = 0.0


def cells(draws: int, has_classes: bool) -> list[Cell]:
    """All evaluations, in the order in which they are made."""
    planted = [name for name in CORRUPTIONS if has_classes or name not in OF_CLASSES]
    numbers = range(1, draws + 1)
    honest = [Cell(images, number) for number in numbers for images in (SAMPLES_ANEW, ALL_ANEW)]
    return [*honest, Cell(REAL), *map(Cell, planted)]


class Laboratory:
    """Makes the evaluations, or reads stored ones.

    Args:
        draws: the image sets.
        metrics: names of metrics.
        samples: number of images scored.
        folder: folder of the stored evaluations and features of real images.
        device: device of the metrics.
    """

    def __init__(self, draws: Draws, metrics: Sequence[str], samples: int, folder: Path, device: str):
        self._draws, self._metrics, self._samples, self._folder, self._device = draws, metrics, samples, folder, device

    def stored(self, cell: Cell) -> Found | None:
        """The stored result; None if the cell has not been measured."""
        try:
            return Found(**read_json(self._file(cell)))
        except (DpbenchError, TypeError):
            return None

    def measured(self, wanted: Sequence[Cell]) -> Iterator[tuple[Cell, Found]]:
        """Measures cells and stores each result."""
        for cell in wanted:
            start = time.perf_counter()
            try:
                scores = self._score(cell)
                found = Found(scores.values, scores.ci95, scores.caveats, "", time.perf_counter() - start)
            except DataError as why:
                found = Found(refused=str(why), seconds=time.perf_counter() - start)
            write_json(self._file(cell), asdict(found))
            yield cell, found

    def _score(self, cell: Cell) -> Scores:
        run = RunContext(self._device, torch.Generator().manual_seed(cell.number), PublicCache(self._folder / "public"))
        if cell.images == REAL:
            sets = self._draws.samples_anew(1)
            return evaluate_real(self._metrics, sets.train, sets.test, self._samples, run, self._kept())
        sets = self._sets(cell)
        kept = None if cell.images == ALL_ANEW else self._kept()
        return evaluate(self._metrics, sets.samples, sets.test, run, sets.train, kept)

    def _sets(self, cell: Cell) -> Sets:
        ways: dict[str, Callable[[int], Sets]] = {
            SAMPLES_ANEW: self._draws.samples_anew,
            ALL_ANEW: self._draws.all_anew,
        }
        made = ways.get(cell.images)
        return made(cell.number) if made else corrupted(cell.images, self._draws)

    def _kept(self) -> EvaluationCache:
        return EvaluationCache(self._folder / "real")

    def _file(self, cell: Cell) -> Path:
        return self._folder / f"{digest([cell.images, cell.number])}.json"

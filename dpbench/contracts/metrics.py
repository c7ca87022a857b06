"""What every metric promises."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dpbench.contracts.case import Case, check_summary, require_no_torch
from dpbench.contracts.promise import ContractError, must_work, require
from dpbench.core.errors import DpbenchError, MissingScore
from dpbench.core.metric import Estimate, Metric
from dpbench.core.outcomes import Measured

if TYPE_CHECKING:
    from dpbench.core.data import ImageDataset

TOLERANCE = 1e-3
"""Relative difference that another order of sums may cause."""


def small_bars(count: int, seed: int) -> ImageDataset:
    """See `small_evaluation.small_bars`; imports torch only when called."""
    from dpbench.contracts import small_evaluation

    return small_evaluation.small_bars(count, seed)


@dataclass(frozen=True)
class MetricCase(Case[Metric]):
    """A metric under test; the weights of its extractors, if they need any, are installed.

    Attributes:
        unranked: columns with a direction that nevertheless do not rank these small sets of images by their similarity
            to the reference.
        by_chance: columns that the order of images changes by chance, because they train on the images, pair them up,
            or split them into parts.
        images: (count, seed) -> a small set of images that the metric can be computed on.
    """

    unranked: tuple[str, ...] = ()
    by_chance: tuple[str, ...] = ()
    images: Callable[[int, int], ImageDataset] = small_bars

    def values(
        self,
        synthetic: ImageDataset | None = None,
        reference: ImageDataset | None = None,
        train: ImageDataset | None = None,
        seed: int = 0,
    ) -> dict[str, float]:
        """Column -> value, for small sets of `images` unless others are given.

        Raises:
            MissingScore: the metric cannot be computed.
            ContractError: it fails otherwise.
        """
        import torch

        from dpbench.contracts.small_evaluation import small_evaluation

        usual = self.sets
        given = (synthetic or usual[0], reference or usual[1], train or usual[2])
        evaluation = small_evaluation(self.folder, *given)
        metric = self.plugin()
        evaluation.begin(self.name, metric, torch.Generator().manual_seed(seed))
        try:
            found: Mapping[str, float | Estimate | Measured] = metric.compute(evaluation)
        except MissingScore:
            raise
        except DpbenchError as error:
            raise ContractError(str(error)) from error
        return {name: float(v.value if isinstance(v, Estimate | Measured) else v) for name, v in found.items()}

    @property
    def sets(self) -> tuple[ImageDataset, ImageDataset, ImageDataset]:
        """Images that look like the reference, the reference, and train."""
        from dpbench.contracts.small_evaluation import COUNT

        return self.images(COUNT, 5), self.images(COUNT, 4), self.images(2 * COUNT, 3)

    @cached_property
    def usual(self) -> dict[str, float]:
        """The values on images that look like the reference."""
        with must_work(f"computing {self.name}"):
            return self.values()


def check_declared_without_torch(case: MetricCase) -> None:
    """The metric is imported without torch."""
    require_no_torch(case)


def check_columns(case: MetricCase) -> None:
    """The metric computes finite numbers for exactly the columns that it declares, and each column has a help text."""
    declared = [column.name for column in case.plugin.columns]
    found = f"declares {', '.join(declared)} but has {', '.join(case.usual)}"
    require(
        sorted(declared) == sorted(case.usual), f"{case.name} {found}; compute must fill the columns, and no others"
    )
    for column in case.plugin.columns:
        require(bool(column.help), f"the column {column.name} of {case.name} has no help text; say what it measures")
        is_finite = math.isfinite(case.usual[column.name])
        require(is_finite, f"{column.name} of {case.name} is not finite on usual images; raise MissingScore instead")


def check_direction(case: MetricCase) -> None:
    """Images that look like the reference score better than white noise, in the direction that a column declares."""
    from dpbench.contracts.small_evaluation import noise_like

    with must_work(f"computing {case.name} of white noise"):
        noise = case.values(noise_like(case.sets[0]))
    for column in case.plugin.columns:
        like, unlike = case.usual[column.name], noise[column.name]
        is_better = like > unlike if column.better == "high" else like < unlike
        is_ranked = column.better is not None and column.name not in case.unranked
        found = (
            f"images like the reference have {like:.4g}, noise has {unlike:.4g}; correct it, or add it to `unranked`"
        )
        require(not is_ranked or is_better, f"{column.name} of {case.name}: {column.better} is better, but {found}")


def check_order(case: MetricCase) -> None:
    """The order of images does not matter, except for columns that it changes by chance."""
    from dpbench.contracts.small_evaluation import shuffled

    synthetic, reference, _ = case.sets
    with must_work(f"computing {case.name} in another order"):
        values = case.values(shuffled(synthetic), shuffled(reference))
    for column, value in case.usual.items():
        same = math.isclose(value, values[column], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        found = f"is {value:.6g}, in another order {values[column]:.6g}; use all images alike, or add it to `by_chance`"
        require(same or column in case.by_chance, f"{column} of {case.name} {found}")


def check_seeds(case: MetricCase) -> None:
    """The same generator gives the same values; a metric that uses randomness states its protocol."""
    with must_work(f"computing {case.name} again"):
        again, other = case.values(), case.values(seed=1)
    require(case.usual == again, f"{case.name} has other values for the same seed; draw from evaluation.run.generator")
    is_stated = case.usual == other or bool(case.plugin.protocol)
    require(is_stated, f"{case.name} uses randomness; state in its protocol how many images or subsets it draws")


def check_missing(case: MetricCase) -> None:
    """Images without classes or captions are scored, or refused with MissingScore and a reason in one line."""
    from dpbench.contracts.small_evaluation import without_conditions

    synthetic, reference, train = (without_conditions(images) for images in case.sets)
    with must_work(f"computing {case.name} without classes, or refusing it with MissingScore,"):
        try:
            case.values(synthetic, reference, train)
        except MissingScore as reason:
            is_told = bool(str(reason).strip()) and "\n" not in str(reason)
            require(is_told, f"{case.name} must say in one line why it cannot be computed")


def check_reads_train(case: MetricCase) -> None:
    """A metric reads train images if and only if it declares `reads_train`."""
    from dpbench.contracts.small_evaluation import Watched

    train = Watched(case.images(60, 8))
    case.values(train=train)
    is_honest = bool(train.reads) == case.plugin.reads_train
    does = "reads train images" if train.reads else "reads no train images"
    require(is_honest, f"{case.name} {does} but declares reads_train = {case.plugin.reads_train}; correct it")


CHECKS: tuple[Callable[[MetricCase], None], ...] = (
    check_summary,
    check_columns,
    check_direction,
    check_order,
    check_seeds,
    check_missing,
    check_reads_train,
)
"""For every metric."""

BUILTIN_CHECKS: tuple[Callable[[MetricCase], None], ...] = (*CHECKS, check_declared_without_torch)
"""For the metrics of dpbench itself, which are listed without torch."""

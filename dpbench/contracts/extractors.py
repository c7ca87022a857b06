"""What every feature extractor promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dpbench.contracts.case import Case, check_summary
from dpbench.contracts.promise import ContractError, must_work, require
from dpbench.core.errors import MissingScore
from dpbench.core.metric import Extractor

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.core.metric import Evaluation

TOLERANCE = 1e-4
"""Relative difference that rounding may cause between batches."""


@dataclass(frozen=True)
class ExtractorCase(Case[Extractor]):
    """An extractor under test; its weights, if it needs any, are installed."""

    @cached_property
    def extractor(self) -> Extractor:
        """The extractor for grey images of 32 × 32 pixels."""
        from dpbench.contracts.small_evaluation import small_evaluation

        with must_work(f"making the extractor {self.name}"):
            return self.plugin(small_evaluation(self.folder))

    @cached_property
    def images(self) -> Tensor:
        """Five images: uint8 [5, 1, 32, 32]."""
        from dpbench.contracts.small_evaluation import synthetic_bars

        images = synthetic_bars().batch(range(5)).images
        assert images is not None
        return images

    def features(self, images: Tensor) -> Tensor:
        """Features, computed as the evaluator computes them."""
        import torch

        extractor = self.extractor
        with must_work(f"extracting features by {self.name}"), torch.no_grad():
            return extractor(images)


def check_features(case: ExtractorCase) -> None:
    """Features are finite float32 numbers, one row per image."""
    import torch

    features = case.features(case.images)
    is_right = features.dtype == torch.float32 and features.ndim > 1 and len(features) == len(case.images)
    found = f"{features.dtype} {list(features.shape)}"
    require(is_right, f"features of {case.name} must be float32 [{len(case.images)}, ...], not {found}")
    require(bool(features.isfinite().all()), f"features of {case.name} must be finite; check divisions and logarithms")


def check_images_are_independent(case: ExtractorCase) -> None:
    """The features of an image do not depend on the others in its batch."""
    import torch

    together = case.features(case.images)
    alone = torch.cat([case.features(image[None]) for image in case.images])
    same = alone.shape == together.shape and float((alone - together).norm()) <= TOLERANCE * float(together.norm())
    require(same, f"{case.name} computes an image's features from the others in the batch; use fixed statistics")


def check_description(case: ExtractorCase) -> None:
    """The description is one line, and the same for the same weights."""
    from dpbench.contracts.small_evaluation import small_evaluation

    with must_work(f"describing {case.name}"):
        first, again = case.extractor.description, case.plugin(small_evaluation(case.folder)).description
    require(bool(first.strip()) and "\n" not in first, f"{case.name} must describe weights and resizing in one line")
    require(first == again, f"{case.name} describes itself as '{first}', then as '{again}'; describe what is fixed")


def check_unsuitable_images(case: ExtractorCase) -> None:
    """Unsuitable images are refused with MissingScore when the extractor is made."""
    from dpbench.contracts.small_evaluation import small_evaluation
    from dpbench.contracts.small_sets import bars, bars_spec

    odd = bars(bars_spec(13, 3), 10, seed=0)
    evaluation = small_evaluation(case.folder / "odd", odd, odd, bars(odd.spec, 10, seed=1))
    images = odd.batch(range(2)).images
    assert images is not None
    with must_work(f"making {case.name} for images of 13 pixels, or refusing them with MissingScore,"):
        try:
            extractor = case.plugin(evaluation)
        except MissingScore:
            return
        extractor(images)


def check_reads_train(case: ExtractorCase) -> None:
    """An extractor reads no images of the evaluation when it is made, unless it declares `reads_train`."""
    from dpbench.contracts.small_evaluation import SPEC, Watched, small_evaluation, synthetic_bars
    from dpbench.contracts.small_sets import bars

    sets = [Watched(images) for images in (synthetic_bars(), bars(SPEC, 24, seed=4), bars(SPEC, 48, seed=3))]
    evaluation: Evaluation = small_evaluation(case.folder / "watched", *sets)
    with must_work(f"making the extractor {case.name}"):
        case.plugin(evaluation)
    synthetic, reference, train = (images.reads for images in sets)
    require(
        not synthetic and not reference, f"{case.name} reads scored images when it is made; read them in __call__ alone"
    )
    if bool(train) != case.plugin.reads_train:
        does = "reads train images" if train else "reads no train images"
        raise ContractError(
            f"{case.name} {does} but declares reads_train = {case.plugin.reads_train}; correct the declaration"
        )


CHECKS: tuple[Callable[[ExtractorCase], None], ...] = (
    check_summary,
    check_features,
    check_images_are_independent,
    check_description,
    check_unsuitable_images,
    check_reads_train,
)
"""For every extractor."""

"""Features of a classifier trained on the dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dpbench.core.metric import Evaluation, Extractor
from dpbench.metrics.classifiers.versions import REAL_VERSION

if TYPE_CHECKING:
    from torch import Tensor


class RealClassifier(Extractor):
    """Features of a real-data classifier.

    The penultimate layer of a classifier trained on half of the real train split; see `real_classifier`.
    """

    reads_train: ClassVar[bool] = True

    def __init__(self, evaluation: Evaluation):
        from dpbench.evaluation.real_parts import whole_of
        from dpbench.metrics.classifiers.real_classifier import real_classifier

        super().__init__(evaluation)
        self._model = real_classifier(evaluation)
        # The fingerprint of a dataset that is not public would let readers of the row confirm a guess of its content.
        source = whole_of(evaluation.train).fingerprint if self.spec.public_benchmark else "the dataset"
        self.description = f"classifier {REAL_VERSION} of {source}, [-1, 1]"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> float32 [b, 128]."""
        from dpbench.metrics.classifiers import recipe

        return self._model.features(recipe.scaled(images))

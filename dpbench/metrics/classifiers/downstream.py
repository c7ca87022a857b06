"""Train on synthetic, test on real: accuracy of classifiers on the reference images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from dpbench.core.data import ImageDataset
from dpbench.core.metric import Estimate, Evaluation
from dpbench.core.specs import Batch
from dpbench.evaluation import intervals as bootstrap
from dpbench.metrics.classifiers import recipe
from dpbench.metrics.classifiers.base import Classifier, Make, build_classifier
from dpbench.metrics.classifiers.recipe import Recipe


def downstream(
    column: str, classifiers: Mapping[str, Make], how: Recipe, evaluation: Evaluation
) -> Mapping[str, Estimate]:
    """Accuracies, on the reference images, of classifiers trained on the synthetic images.

    Args:
        column: name of the column of the mean; the column of a classifier is `column`_name.
        classifiers: name -> function that builds it.
        how: the recipe for training each.
        evaluation: the images and the random generator.

    Returns:
        Column -> accuracy in [0, 1], with its interval over the reference images.

    Raises:
        MissingScore: the dataset has fewer than two classes, or the images have no labels.
        DataError: a label is outside the classes.
    """
    synthetic, reference, run = evaluation.synthetic, evaluation.reference, evaluation.run
    recipe.require_labels(evaluation.spec, synthetic, "synthetic")
    models = [build_classifier(make, evaluation.spec, run.generator) for make in classifiers.values()]
    seeds = torch.randint(2**62, (len(models),), generator=run.generator).tolist()
    train, test = _InTurn(synthetic), _InTurn(reference)

    def accuracy(name: str, model: Classifier, seed: int) -> NDArray[np.float64]:
        own = replace(run, generator=torch.Generator().manual_seed(seed))
        recipe.train(model, train, how, own, f"{column}: {name}")
        return recipe.test(model, test, own)

    with recipe.repeatable(run.generator, torch.device(run.device)), _workers(len(models), how, run.device) as pool:
        correct = np.stack(list(pool.map(accuracy, classifiers, models, seeds)))
    names = [column, *(f"{column}_{name}" for name in classifiers)]
    mean = correct.mean(0)  # per image, since errors of the classifiers are correlated
    return {name: bootstrap.mean(k, run.generator) for name, k in zip(names, [mean, *correct], strict=True)}


@contextmanager
def _workers(classifiers: int, how: Recipe, device: str) -> Iterator[ThreadPoolExecutor]:
    """Threads that train classifiers: on a CPU, for small networks, one for each of them.

    Torch's own threads would wait for each other longer than they compute. The result then does not depend on the
    number of cores.
    """
    cores = torch.get_num_threads()
    small = how.small and torch.device(device).type == "cpu"
    number = classifiers if small and cores > 1 else 1
    with recipe.threads(1 if small else cores), ThreadPoolExecutor(number) as pool:
        yield pool


class _InTurn(ImageDataset):
    """A dataset that threads read one after another."""

    def __init__(self, images: ImageDataset):
        self.spec = images.spec
        self._images = images
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, indices: Sequence[int]) -> Batch:
        with self._lock:
            return self._images.batch(indices)

    @property
    def fingerprint(self) -> str:
        return self._images.fingerprint

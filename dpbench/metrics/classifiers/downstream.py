"""Train on synthetic, test on real: accuracy of classifiers on the reference images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import torch

from dpbench.core.metric import Evaluation
from dpbench.core.outcomes import Measured
from dpbench.evaluation.caveats import Caveat
from dpbench.metrics.classifiers import recipe
from dpbench.metrics.classifiers.base import Classifier, Make, build_classifier, require_size
from dpbench.metrics.classifiers.labelled import LabelledImages
from dpbench.metrics.classifiers.recipe import Recipe


def downstream(
    column: str, classifiers: Mapping[str, Make], how: Recipe, evaluation: Evaluation
) -> Mapping[str, Measured]:
    """Accuracies, on the reference images, of classifiers trained on the synthetic images.

    Each classifier is trained `how.runs` times. The reference is read only after the last step of all of them.

    Args:
        column: name of the column of the mean; the column of a classifier is `column`_name.
        classifiers: name -> function that builds it.
        how: the training recipe of each classifier.
        evaluation: the images and the random generator.

    Returns:
        Column -> accuracy in [0, 1], the mean over runs, with its interval over the reference images and runs; see
        `core.outcomes`. The interval says nothing about another set of synthetic images.

    Raises:
        MissingScore: the dataset has fewer than two classes, or the images have no labels or are too small.
        DataError: a label is outside the classes.
    """
    spec, run = evaluation.spec, evaluation.run
    if run.precision != "fp32" and not how.small:
        warnings.warn(f"trained in {run.precision}", Caveat, 2)
    recipe.require_labels(spec, evaluation.synthetic, "synthetic")
    titles = [f"{column}: {name}{_number(i, how.runs)}" for name in classifiers for i in range(how.runs)]
    models = [build_classifier(make, spec, run.generator) for make in classifiers.values() for _ in range(how.runs)]
    require_size(spec, models)
    seeds = torch.randint(2**62, (len(models),), generator=run.generator).tolist()
    synthetic = LabelledImages(evaluation.synthetic)

    def train(title: str, model: Classifier, seed: int) -> None:
        own = replace(run, generator=torch.Generator().manual_seed(seed))
        recipe.train(model, synthetic, how, own, title)

    with recipe.repeatable(run.generator, torch.device(run.device)), _workers(len(models), how, run.device) as pool:
        list(pool.map(train, titles, models, seeds))
        reference = LabelledImages(evaluation.reference)
        right = torch.stack(list(pool.map(lambda model: recipe.test(model, reference, run.device), models)))
    outcomes = right.reshape(len(classifiers), how.runs, -1).numpy()
    each = {f"{column}_{name}": outcomes[[number]] for number, name in enumerate(classifiers)}
    return {name: Measured(of_name) for name, of_name in {column: outcomes, **each}.items()}


def _number(run: int, runs: int) -> str:
    return f" {run + 1}/{runs}" if runs > 1 else ""


@contextmanager
def _workers(models: int, how: Recipe, device: str) -> Iterator[ThreadPoolExecutor]:
    """Threads that train classifiers: for small networks on a CPU, one per core.

    Torch's own threads would wait for each other longer than they compute. With one thread per classifier, the result
    does not depend on the number of cores.
    """
    cores = torch.get_num_threads()
    small = how.small and torch.device(device).type == "cpu"
    number = min(models, cores) if small else 1
    with recipe.threads(1 if small else cores), ThreadPoolExecutor(number) as pool:
        yield pool

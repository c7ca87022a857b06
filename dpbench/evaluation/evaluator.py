"""Runs metrics on a set of images and a reference set, with shared features.

`evaluate` scores synthetic images. `evaluate_real` scores real images as if they were synthetic: the `real` row, the
reference for all other rows (rule R8).
"""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DpbenchError, MissingScore, RunError
from dpbench.core.files import digest
from dpbench.core.locks import scratch_folder
from dpbench.core.metric import TOO_LONG, Estimate, Metric
from dpbench.core.outcomes import Measured, Packed
from dpbench.core.registries import METRICS
from dpbench.evaluation.caveats import collect_caveats
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.input_checks import check
from dpbench.evaluation.real_parts import part_and_rest
from dpbench.evaluation.score_protocol import score_protocol
from dpbench.evaluation.scores import Scores
from dpbench.evaluation.shared import SharedEvaluation


def default_metrics() -> list[str]:
    """The names of the registered metrics that are computed by default, including plugins that cannot be imported."""
    return [name for name in METRICS.names() if _is_default(name)]


def _is_default(name: str) -> bool:
    try:
        return METRICS.get(name).default
    except DpbenchError:
        return True  # the error is then reported when the metric is used


def evaluate(
    metrics: Sequence[str],
    synthetic: ImageDataset,
    reference: ImageDataset,
    run: RunContext,
    train: ImageDataset | None = None,
    real_cache: EvaluationCache | None = None,
    store: Callable[[Scores], object] = lambda scores: None,
    caveats: Sequence[str] = (),
) -> Scores:
    """Scores `synthetic` images against `reference` ones.

    A metric's random numbers depend only on the seed of `run.generator` and the metric's name, so a score does not
    depend on which other metrics are computed, or when.

    Args:
        metrics: names of metrics; see `default_metrics`.
        synthetic: the images to score, labelled with the classes they were sampled for.
        reference: real images of the same shape (the test split).
        run: device, generator and progress; its public cache is not used, since features of real images are not public.
        train: the sensitive split, for metrics that declare `reads_train`.
        real_cache: stores features of real images; by default they are deleted afterwards (rule R9).
        store: is called with the scores of each metric as soon as they are computed.
        caveats: what else to say of the synthetic images.

    Raises:
        UnknownName: a metric does not exist.
        DataError: a set is empty or damaged, the shapes differ, or both sets are the same.
        DpbenchError: a metric does not compute exactly its declared columns.
    """
    chosen = {name: METRICS.get(name)() for name in dict.fromkeys(metrics)}
    with collect_caveats() as found:
        check(synthetic, reference, run)
    protocol = {"n_samples": len(synthetic), "n_reference": len(reference)}
    scores = images = Scores(protocol=protocol, caveats=(*found, *caveats))
    with scratch_folder() as temporary:
        real_cache = real_cache or EvaluationCache(temporary / "real")
        evaluation = SharedEvaluation(synthetic, reference, run, train, temporary / "synthetic", real_cache)
        for name, metric in chosen.items():
            evaluation.begin(name, metric, _generator(run, name))
            computed = images | _score(name, metric, evaluation)
            store(computed)
            scores |= computed
    return scores


def evaluate_real(
    metrics: Sequence[str],
    train: ImageDataset,
    test: ImageDataset,
    n_samples: int,
    run: RunContext,
    real_cache: EvaluationCache | None = None,
    store: Callable[[Scores], object] = lambda scores: None,
) -> Scores:
    """Scores real images: the scores of a perfect generator of `n_samples` images.

    For a public benchmark, as many images of train are compared with test. Metrics that read train see the rest of it:
    a perfect generator makes no copies. For any other dataset, train may not be scored in columns that are shown (rule
    R9): images of test are compared with the rest of test. At most half of a split is scored; if that is fewer than
    `n_samples`, a caveat gives the number.

    Args:
        metrics, run, real_cache, store: see `evaluate`.
        train: the sensitive split, of at least 2 images.
        test: the test split, of at least 2 images.
        n_samples: the number of samples of other rows, at least 1.

    Raises:
        As `evaluate`.
    """
    if test.spec.public_benchmark:
        scored, train = part_and_rest(train, n_samples)
        reference, origin = test, "half of train" if len(scored) < n_samples else ""
    else:
        scored, reference = part_and_rest(test, n_samples)
        origin = "a part of test, compared with the rest of it"
    caveats = (f"{len(scored)} real images in place of {n_samples} samples: {origin}",) if origin else ()
    return evaluate(metrics, scored, reference, run, train, real_cache, store, caveats)


def _score(name: str, metric: Metric, evaluation: SharedEvaluation) -> Scores:
    """The scores of one metric; if it cannot be computed, the reason for each column."""
    start = time.perf_counter()
    columns = [column.name for column in metric.columns]
    values: dict[str, float | None] = dict.fromkeys(columns)
    missing: dict[str, str] = {}
    ci95: dict[str, float] = {}
    outcomes: dict[str, Packed] = {}
    with collect_caveats() as caveats:
        try:
            _refuse_days(metric, evaluation)
            with _within_means(evaluation.run.device):
                computed = metric.compute(evaluation)
        except MissingScore as why:
            missing = dict.fromkeys(columns, str(why))
        else:
            if set(computed) != set(columns):
                raise DpbenchError(f"metric '{name}' declares {', '.join(columns)} but computes {', '.join(computed)}")
            for column, found in computed.items():
                if isinstance(found, Measured):
                    outcomes[column] = Packed.of(found.outcomes)
                    found = found.estimate()
                value, half = found if isinstance(found, Estimate) else (found, math.nan)
                if math.isfinite(value):
                    values[column] = float(value)
                else:
                    missing[column] = f"the value is {value}"
                if math.isfinite(value) and math.isfinite(half):
                    ci95[column] = float(half)
    return Scores(
        values,
        missing,
        {name: score_protocol(type(metric), evaluation.used_extractors.values())},
        tuple(dict.fromkeys(f"{name}: {text}" for text in caveats)),
        {name: time.perf_counter() - start},
        ci95,
        outcomes,
    )


@contextmanager
def _within_means(device: str) -> Iterator[None]:
    """Makes a lack of memory or disk space the reason why a score is missing: it spares the scores of other metrics."""
    try:
        yield
    except RunError as error:
        if getattr(error.__cause__, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
            raise
        advice = "choose larger folders with TMPDIR and DPBENCH_CACHE; `dpbench evaluate --all` then tries again"
        raise MissingScore(f"{error}; {advice}") from error
    except (MemoryError, RuntimeError) as error:  # torch's own allocator on a CPU has no class for this error
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise MissingScore(f"out of memory on {device}; `dpbench evaluate --all` tries again") from error
        raise


def _refuse_days(metric: Metric, evaluation: SharedEvaluation) -> None:
    device = evaluation.run.device
    seconds = metric.expected_seconds(evaluation.spec, len(evaluation.synthetic), device)
    if seconds > TOO_LONG:
        raise MissingScore(f"it would take about {seconds / TOO_LONG:.0f} days on {device}; compute it on a GPU")


def _generator(run: RunContext, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(int(digest([run.generator.initial_seed(), name], 15), 16))

"""The Feature Likelihood Divergence (Jiralerspong et al., arXiv 2302.04440)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Evaluation, Metric
from dpbench.core.progress import track
from dpbench.evaluation.features import Features, finite

CENTRES = 5_000
MOST = 10_000  # of train, and of test
STEPS = 50
LEARNING_RATE = 0.5  # of Adam, for the logarithms of variances
SHRINK = 0.9  # the component that keeps far images from counting: distances from train's mean are this part
ROWS = 500


class FeatureLikelihoodDivergence(Metric):
    """How likely test images are under Gaussians around synthetic ones, in DINOv2 features; low is good.

    Each synthetic image is the centre of one Gaussian of an equally weighted mixture; their variances maximise the
    likelihood of train. A Gaussian around a copy of a train image gets narrow and then explains no test image, so that
    copying costs, as low fidelity and low diversity do. The value is 100 times the mean negative log-likelihood of test
    per feature, above that of a baseline: half of train as centres, fitted to the other half.

    As in the authors' code: features scaled to mean 0 and variance 1 on test; variances start at the squared distance
    of the nearest train image (plus 1e-3) over the number of features; 50 steps of Adam at rate 0.5 on their
    logarithms; while fitting, one further component around train's mean keeps far images from counting. Theirs uses
    10,000 centres and all of train; here at most 5,000 centres and 10,000 images of train and of test, evenly spaced.
    There is no interval: leaving a centre out changes the widths of its neighbours.
    """

    columns: ClassVar[tuple[Column, ...]] = (Column("fld", "low", "Feature Likelihood Divergence (DINOv2 features)"),)
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"at most {CENTRES} centres, {MOST} images of train and of test"

    def compute(self, evaluation: Evaluation) -> Mapping[str, float]:
        """{"fld": value}; around 0 for images that are as good as train's.

        Raises:
            MissingScore: fewer than two images of train or test, or a feature that is not finite.
        """
        synthetic, reference = evaluation.features("dinov2")
        train = evaluation.train_features("dinov2")
        if min(len(train), len(reference)) < 2:
            raise MissingScore("a likelihood above a baseline needs at least 2 images of train and of test")
        return {"fld": fld(_part(synthetic, CENTRES), _part(train, MOST), _part(reference, MOST), evaluation.run)}


def fld(synthetic: Tensor, train: Tensor, test: Tensor, run: RunContext) -> float:
    """The divergence of features [n, d], [t, d], [m, d]; `run.generator` halves train for the baseline."""
    deviation, mean = torch.std_mean(test, 0)
    deviation = torch.where(deviation > 0, deviation, 1)  # a feature that is constant in test keeps its unit
    synthetic, train, test = ((x - mean) / deviation for x in (synthetic, train, test))
    order = torch.randperm(len(train), generator=run.generator)
    half = min(len(synthetic), len(train) // 2)
    centres, others = train[order[:half]], train[order[half:]]
    found = negative_log_likelihood(test, synthetic, fitted(synthetic, train, run, "fld"))
    baseline = negative_log_likelihood(test, centres, fitted(centres, others, run, "fld: baseline"))
    return 100 * (found - baseline)


def fitted(centres: Tensor, data: Tensor, run: RunContext, title: str) -> Tensor:
    """Log variances [n] of Gaussians around `centres` [n, d], fitted to `data` [t, d].

    Args:
        title: what the progress bar is called.
    """
    n, d = centres.shape
    squares = torch.cdist(data, centres).square()  # [t, n]
    far = SHRINK**2 * (data - data.mean(0)).square().sum(1, keepdim=True)
    log_variances = ((squares.amin(0) + 1e-3) / d).log()
    log_variances = torch.cat([log_variances, torch.zeros(1)])  # the last is that of the component around the mean
    log_weights = torch.tensor([-math.log(n)] * n + [0.0])
    optimizer = torch.optim.Adam([log_variances], LEARNING_RATE)
    for _ in track(run.progress, range(STEPS), title, STEPS):
        gradient = torch.zeros_like(log_variances)
        for rows in torch.arange(len(data)).split(ROWS):
            scaled = torch.cat([squares[rows], far[rows]], 1) / log_variances.exp()
            shares = (log_weights - (scaled + d * log_variances) / 2).softmax(1)
            gradient += (shares * (d - scaled)).sum(0)
        log_variances.grad = gradient / (2 * d * len(data))
        optimizer.step()
        log_variances[:n].clamp_(-40, 20)
    return log_variances[:n]


def negative_log_likelihood(data: Tensor, centres: Tensor, log_variances: Tensor) -> float:
    """The mean negative log-likelihood per feature of `data` [m, d] under the mixture."""
    n, d = centres.shape
    parts = []
    for rows in data.split(ROWS):
        scaled = torch.cdist(rows, centres).square() / log_variances.exp()
        log_densities = -(scaled + d * (log_variances + math.log(2 * math.pi))) / 2
        parts.append(log_densities.double().logsumexp(1) - math.log(n))
    return -float(torch.cat(parts).mean()) / d


def _part(features: Features, most: int) -> Tensor:
    return torch.from_numpy(finite(features.at_most(most)).reshape(-1, features.size))

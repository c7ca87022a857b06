"""The Feature Likelihood Divergence: the likelihood of features under a mixture of Gaussians.

Jiralerspong et al. (arXiv 2302.04440). As in the authors' code, features are scaled to mean 0 and variance 1 on test.
Variances are initialised with the squared distance of the nearest train image (plus 1e-3) divided by the number of
features, and their logarithms are optimised by Adam with learning rate 0.5, for 50 passes over train in batches of
10,000. During the fit, an additional component around the mean of train reduces the influence of outliers.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.progress import track
from dpbench.evaluation.features import Array, require_finite

PASSES = 50
BATCH = 10_000
LEARNING_RATE = 0.5  # Adam's, for the logarithms of variances
SHRINK = 0.9  # distances from train's mean in the additional component are scaled by this
ROWS = 500


def likelihood_divergence(
    synthetic: Array, train: Array, test: Array, run: RunContext, scored: Literal["test", "train"] = "test"
) -> float:
    """100 times a split's negative log-likelihood per feature, minus that of test with half of train as centres.

    Args:
        synthetic: features [n, ...], the centres.
        train: [t, ...], t >= 2: the variances maximise its likelihood.
        test: [m, ...], m >= 2.
        run: progress, and the generator that shuffles train.
        scored: the split whose likelihood is computed.

    Raises:
        MissingScore: a feature is not finite.
    """
    x, t, y = (torch.from_numpy(require_finite(features)).flatten(1) for features in (synthetic, train, test))
    deviation, mean = torch.std_mean(y, 0)
    deviation = torch.where(deviation > 0, deviation, 1)  # features that are constant in test are not scaled
    x, t, y = ((z - mean) / deviation for z in (x, t, y))
    t = t[torch.randperm(len(t), generator=run.generator)]
    half = min(len(x), len(t) // 2)
    centres, others = t[:half], t[half:]
    found = negative_log_likelihood({"test": y, "train": t}[scored], x, fitted(x, t, run, "fld"))
    baseline = negative_log_likelihood(y, centres, fitted(centres, others, run, "fld: baseline"))
    return 100 * (found - baseline)


def fitted(centres: Tensor, data: Tensor, run: RunContext, title: str) -> Tensor:
    """Log variances [n] of Gaussians around `centres` [n, d], fitted to `data` [t, d], in random order.

    Args:
        title: the title of the progress bar.
    """
    n, d = centres.shape
    squares = torch.cdist(data, centres).square_()  # [t, n]
    far = SHRINK**2 * (data - data.mean(0)).square().sum(1, keepdim=True)
    log_variances = ((squares.amin(0) + 1e-3) / d).log()
    log_variances = torch.cat([log_variances, torch.zeros(1)])  # the last one belongs to the component around the mean
    log_weights = torch.tensor([-math.log(n)] * n + [0.0])
    optimizer = torch.optim.Adam([log_variances], LEARNING_RATE)
    for _ in track(run.progress, range(PASSES), title, PASSES):
        for batch in torch.arange(len(data)).split(BATCH):
            gradient = torch.zeros_like(log_variances)
            for rows in batch.split(ROWS):
                scaled = torch.cat([squares[rows], far[rows]], 1) / log_variances.exp()
                shares = (log_weights - (scaled + d * log_variances) / 2).softmax(1)
                gradient += (shares * (d - scaled)).sum(0)
            log_variances.grad = gradient / (2 * d * len(batch))
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

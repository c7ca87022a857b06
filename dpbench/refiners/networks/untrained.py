"""Plug-and-play restoration of one image with an untrained network (LRS-PnP-DIP, arXiv 2501.08195)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.refiner import block_means, with_coarse_band
from dpbench.refiners.networks.lipschitz import LipschitzNet
from dpbench.refiners.networks.non_local import non_local_means

if TYPE_CHECKING:
    from dpbench.refiners.deep_prior import DeepPriorConfig

SEED = 0
"""Seed of the untrained weights, the same for each image, so that no image depends on earlier ones."""


def restored(coarse: Tensor, size: int, config: DeepPriorConfig) -> Tensor:
    """One image: [1, c, h, h] -> [1, c, size, size].

    Half-quadratic splitting of x = z = f(x): z is x after non-local means, and f is an untrained network fitted so that
    the block means of f(x) match the coarse image y. `trust` is the share of y in the coarse band of x. The
    optimisation stops early, when the variance of the last outputs no longer falls. The paper's multipliers are left
    out: f matches x too slowly, so they keep growing and distort the image.
    """
    x = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    prior = UntrainedPrior(coarse, x, config)
    stop = EarlyStop(config.variances, config.patience)
    for _ in range(config.iterations):
        z = non_local_means(x, config.patch, config.window // 2, config.strength)
        x = with_coarse_band((z + prior(x)) / 2, coarse, config.trust)
        if stop(x):
            break
    return stop.best


class UntrainedPrior:
    """An untrained, nearly 1-Lipschitz network that is fitted to the coarse image a little further with each call."""

    def __init__(self, coarse: Tensor, like: Tensor, config: DeepPriorConfig):
        with torch.random.fork_rng(devices=()), torch.inference_mode(False):
            torch.default_generator.manual_seed(SEED)
            size = (like.shape[-2], like.shape[-1])
            self.network = LipschitzNet(like.shape[1], config.width, config.depth, size).to(like.device)
        self.coarse = coarse
        self.factor = like.shape[-1] // coarse.shape[-1]
        self.fits = config.fits
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr)

    def __call__(self, x: Tensor) -> Tensor:
        """f(x) after fitting: [1, c, size, size]."""
        with torch.inference_mode(False), torch.enable_grad():
            x, coarse = x.clone(), self.coarse.clone()
            for _ in range(self.fits):
                self.optimizer.zero_grad()
                F.mse_loss(block_means(self.network(x), self.factor), coarse).backward()
                self.optimizer.step()
        with torch.no_grad():
            result: Tensor = self.network(x)
        return result


class EarlyStop:
    """Stops when the variance of the last outputs has not fallen for some steps (ES-WMV, arXiv 2112.06074).

    Attributes:
        best: the output at the smallest variance.
    """

    best: Tensor

    def __init__(self, count: int, patience: int):
        self.count = count
        self.patience = patience
        self.last: list[Tensor] = []
        self.least = float("inf")
        self.waited = 0

    def __call__(self, output: Tensor) -> bool:
        """Whether to stop after this output."""
        self.last = [*self.last, output][-self.count :]
        if len(self.last) < self.count:
            self.best = output
            return False
        variance = float(torch.stack(self.last).var(0, correction=0).mean())
        if variance < self.least:
            self.least, self.best, self.waited = variance, output, 0
        else:
            self.waited += 1
        return self.waited >= self.patience

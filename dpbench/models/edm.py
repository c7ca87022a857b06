"""Diffusion in the EDM formulation (Karras et al., arXiv 2206.00364): preconditioned denoiser, loss and samplers.

Images x0 are in [-1, 1]; x = x0 + σ ε with ε ~ N(0, I), for noise levels σ up to `SIGMA_MAX`. y is the condition of
each image: labels int64 [b], or another input of the network, [b, ...]. A conditioning image, such as a coarse version
of x0, is concatenated to the channels of the network's input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from diffusers import EDMDPMSolverMultistepScheduler
from torch import Tensor, nn

from dpbench.core.footprint import rows_that_fit, saved_bytes

SIGMA_MAX = 80.0
"""Default largest noise level of samplers."""

RHO = 7.0
"""Spacing of the noise levels: equal steps of σ^(1/ρ)."""


@dataclass(frozen=True)
class NoiseConfig:
    """Distribution of the training noise levels: ln σ ~ N(p_mean, p_std²)."""

    p_mean: float = -1.2
    p_std: float = 1.2


@dataclass(frozen=True)
class SamplerConfig:
    """Settings of the sampler.

    Attributes:
        solver: "ddim" (Euler's method in this formulation), "heun" (second order, two evaluations per step) or
            "dpm-solver" (second-order multistep DPM-Solver++).
        steps: maximum number of network evaluations.
        sigma_min: the last noise level; the image is the estimate of x0 at this level. A model trained for few steps
            leaves noise at the smallest levels.
        guidance: weight w of classifier-free guidance, F = F_null + w (F_y - F_null); 1 disables it.
        churn: S_churn of the EDM paper, for "ddim" and "heun": before each of N steps, fresh noise increases the noise
            level by a factor of 1 + churn/N (at most √2).
        churn_range: noise levels between which fresh noise is added (S_tmin, S_tmax); the paper's for ImageNet.
        churn_noise: standard deviation of the fresh noise (S_noise), 1 or slightly more.
        sigma_max: the first noise level; no signal of the image is left there.
    """

    solver: Literal["ddim", "heun", "dpm-solver"] = "dpm-solver"
    steps: int = 20
    sigma_min: float = 0.002
    guidance: float = 1.0
    churn: float = 0.0
    churn_range: tuple[float, float] = (0.05, 50.0)
    churn_noise: float = 1.0
    sigma_max: float = SIGMA_MAX


class Denoiser(nn.Module):
    """D(x; σ, y) = c_skip(σ) x + c_out(σ) F(c_in(σ) x; c_noise(σ), y), the estimate of x0.

    Args:
        network: F, called as network(x [b, c, h, w], noise level [b], y [b, ...]). The channels of a conditioning image
            follow those of the noisy image in x.
        shape: (channels, height, width) of an image.
        null: the value of y for an unknown condition or none; with k classes, the label k.
        sigma_data: data standard deviation assumed by the preconditioning.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, int, int], null: int, sigma_data: float = 0.5):
        super().__init__()
        self.network = network
        self.shape = shape
        self.null = null
        self.sigma_data = sigma_data

    def forward(
        self, x: Tensor, sigma: Tensor, y: Tensor, conditioning: Tensor | None = None, guidance: float = 1.0
    ) -> Tensor:
        """The estimate of x0 (EDM, table 1).

        Args:
            x: noisy images, float [b, c, h, w].
            sigma: noise levels, float [b].
            y: [b, ...].
            conditioning: conditioning images, float [b, k, h, w], or None.
            guidance: weight of classifier-free guidance; 1 disables it.

        Returns:
            float [b, c, h, w].
        """
        s, d = sigma.reshape(-1, 1, 1, 1), self.sigma_data
        c_skip = d**2 / (s**2 + d**2)
        c_out = s * d / (s**2 + d**2).sqrt()
        c_in = 1 / (s**2 + d**2).sqrt()
        c_noise = sigma.log() / 4
        return c_skip * x + c_out * self._guided(c_in * x, c_noise, y, conditioning, guidance)

    def _output(self, scaled: Tensor, c_noise: Tensor, y: Tensor, conditioning: Tensor | None) -> Tensor:
        """F(c_in x; c_noise, y) for `scaled` = c_in x."""
        inputs = scaled if conditioning is None else torch.cat([scaled, conditioning], dim=1)
        return self.network(inputs, c_noise, y).float()

    def loss(
        self,
        images: Tensor,
        y: Tensor,
        generator: torch.Generator,
        noise: NoiseConfig,
        label_dropout: float = 0.0,
        conditioning: Tensor | None = None,
    ) -> Tensor:
        """λ(σ) ‖D(x0 + σ ε; σ, y) - x0‖² per pixel with λ(σ) = (σ² + σ_data²) / (σ σ_data)², one σ and ε per row: [b].

        Args:
            images: x0, float [b, c, h, w] in [-1, 1].
            y: [b, ...].
            generator: source of σ, ε and dropout; may be on another device than the images.
            noise: distribution of σ.
            label_dropout: probability that a row's y is replaced by the null value.
            conditioning: conditioning images, float [b, k, h, w], or None.
        """
        b, device = len(images), generator.device
        sigma = (noise.p_mean + noise.p_std * torch.randn(b, generator=generator, device=device)).exp().to(images)
        epsilon = torch.randn(images.shape, generator=generator, device=device).to(images)
        if label_dropout:
            dropped = torch.rand(b, generator=generator, device=device) < label_dropout
            y = torch.where(dropped.to(y.device).reshape(-1, *[1] * (y.ndim - 1)), self.null, y)
        weight = (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2
        denoised = self(images + sigma.reshape(-1, 1, 1, 1) * epsilon, sigma, y, conditioning)
        return weight * (denoised - images).square().flatten(1).mean(1)

    @torch.inference_mode()
    def sample(self, y: Tensor, generator: torch.Generator, sampler: SamplerConfig, batch: int = 0) -> Tensor:
        """One image per row of y: [n, c, h, w], nominally in [-1, 1].

        All randomness is drawn before the first step, so the images do not depend on `batch`.

        Args:
            y: [n, ...], on the network's device.
            generator: source of the initial noise and of churn.
            sampler: the solver and its settings.
            batch: number of images denoised together; 0 for as many as fit in memory or cache.
        """
        n, device = len(y), generator.device
        starts = torch.randn(n, *self.shape, generator=generator, device=device)
        seeds = torch.randint(2**62, (n,), generator=generator, device=device).tolist()
        return self.denoise(starts.to(y.device), y, sampler, seeds=seeds, batch=batch)

    @torch.inference_mode()
    def denoise(
        self,
        starts: Tensor,
        y: Tensor,
        sampler: SamplerConfig,
        conditioning: Tensor | None = None,
        seeds: Sequence[int] = (),
        batch: int = 0,
    ) -> Tensor:
        """Denoises initial noise to images: [n, c, h, w], nominally in [-1, 1].

        Args:
            starts: standard normal noise, float [n, c, h, w], on the network's device, with any height and width that
                the network supports.
            y: [n, ...].
            sampler: the solver and its settings.
            conditioning: conditioning images, float [n, k, h, w], or None.
            seeds: one seed per image for its fresh noise; needed for churn only.
            batch: number of images denoised together; 0 for as many as fit in memory or cache.
        """
        rows = batch or self._rows_that_fit(starts[:1], y[:1], None if conditioning is None else conditioning[:1])
        parts = [slice(first, first + rows) for first in range(0, len(starts), rows)]
        return torch.cat(
            [
                self._denoise(starts[p], y[p], sampler, None if conditioning is None else conditioning[p], seeds[p])
                for p in parts
            ]
        )

    def _rows_that_fit(self, start: Tensor, y: Tensor, conditioning: Tensor | None) -> int:
        """Rows that fit in memory, estimated from an upper bound: the activations per image in training."""
        with torch.inference_mode(False), torch.enable_grad():
            x, sigma = torch.zeros_like(start), torch.ones(1, device=start.device)
            images = None if conditioning is None else torch.zeros_like(conditioning)
            return rows_that_fit(saved_bytes(lambda: self(x, sigma, y, images)), str(start.device))

    def _denoise(
        self, start: Tensor, y: Tensor, sampler: SamplerConfig, conditioning: Tensor | None, seeds: Sequence[int]
    ) -> Tensor:
        if sampler.solver == "dpm-solver":
            return self._multistep(start, y, sampler, conditioning)
        return self._churned(start, y, sampler, conditioning, seeds)

    def _churned(
        self, start: Tensor, y: Tensor, sampler: SamplerConfig, conditioning: Tensor | None, seeds: Sequence[int]
    ) -> Tensor:
        """The stochastic sampler (EDM, algorithm 2), with or without the second-order correction."""
        heun, (lowest, highest) = sampler.solver == "heun", sampler.churn_range
        levels = noise_levels(sampler, (sampler.steps + 1) // 2 if heun else sampler.steps)
        growth = min(sampler.churn / (len(levels) - 1), math.sqrt(2) - 1)
        fresh = [torch.Generator().manual_seed(seed) for seed in seeds] if growth else []

        def slope(x: Tensor, sigma: float) -> Tensor:
            level = torch.full((len(x),), sigma, device=x.device)
            denoised: Tensor = self(x, level, y, conditioning, sampler.guidance)
            return (x - denoised) / sigma

        x = start * levels[0]
        for sigma, following in pairwise(levels):
            churned = sigma * (1 + growth) if lowest <= sigma <= highest else sigma
            if churned > sigma:
                noise = torch.stack([torch.randn(x.shape[1:], generator=g) for g in fresh]).to(x)
                x = x + math.sqrt(churned**2 - sigma**2) * sampler.churn_noise * noise
            direction = slope(x, churned)
            if heun and following:
                direction = (direction + slope(x + (following - churned) * direction, following)) / 2
            x = x + (following - churned) * direction
        return x

    def _multistep(self, start: Tensor, y: Tensor, sampler: SamplerConfig, conditioning: Tensor | None) -> Tensor:
        """DPM-Solver++."""
        limits = {"sigma_min": sampler.sigma_min, "sigma_max": sampler.sigma_max, "sigma_data": self.sigma_data}
        schedule: Any = EDMDPMSolverMultistepScheduler(**limits)
        schedule.set_timesteps(sampler.steps, device=start.device)
        x = start * schedule.init_noise_sigma
        for c_noise in schedule.timesteps:
            scaled = schedule.scale_model_input(x, c_noise)
            output = self._guided(scaled, c_noise.expand(len(x)), y, conditioning, sampler.guidance)
            x = schedule.step(output, c_noise, x).prev_sample
        return x

    def _guided(
        self, scaled: Tensor, c_noise: Tensor, y: Tensor, conditioning: Tensor | None, guidance: float
    ) -> Tensor:
        """F with classifier-free guidance. D is affine in F, so guiding F is the same as guiding D.

        If no row has a condition, both terms are the same, and the network is evaluated once.
        """
        if guidance == 1 or bool((y == self.null).all()):
            return self._output(scaled, c_noise, y, conditioning)
        y = torch.cat([y, torch.full_like(y, self.null)])
        conditioning = None if conditioning is None else conditioning.repeat(2, 1, 1, 1)
        output = self._output(scaled.repeat(2, 1, 1, 1), c_noise.repeat(2), y, conditioning)
        conditional, unconditional = output.chunk(2)
        return unconditional + guidance * (conditional - unconditional)


def noise_levels(sampler: SamplerConfig, steps: int) -> list[float]:
    """The decreasing noise levels of `steps` steps, then 0 (EDM, equation 5)."""
    first, last = sampler.sigma_max ** (1 / RHO), sampler.sigma_min ** (1 / RHO)
    return [(first + i / max(1, steps - 1) * (last - first)) ** RHO for i in range(steps)] + [0.0]

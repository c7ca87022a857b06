"""Diffusion in the EDM formulation (Karras et al., arXiv 2206.00364): preconditioned denoiser, loss and samplers.

Images x0 are in [-1, 1]; x = x0 + σ ε with ε ~ N(0, I), for noise levels σ up to `SIGMA_MAX`. What is given about an
image (say, a coarse version of it) enters as further channels of the network's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import EDMDPMSolverMultistepScheduler, EDMEulerScheduler
from torch import Tensor, nn

from dpbench.core.footprint import rows_that_fit, saved_bytes

SIGMA_MAX = 80.0

CHURNED = (0.05, 50.0)
"""The noise levels between which `SamplerConfig.churn` acts, as the EDM paper has them for ImageNet."""


@dataclass(frozen=True)
class NoiseConfig:
    """Which noise levels the loss visits: ln σ ~ N(p_mean, p_std²)."""

    p_mean: float = -1.2
    p_std: float = 1.2


@dataclass(frozen=True)
class SamplerConfig:
    """How images are drawn.

    Attributes:
        solver: "ddim" (in this formulation Euler's method) or "dpm-solver" (second-order multistep DPM-Solver++).
        steps: calls of the network.
        sigma_min: the last noise level; the image is the estimate of x0 there. After a short training a
            model leaves some noise at the lowest levels.
        guidance: weight w of classifier-free guidance, F = F_null + w (F_label - F_null); 1 for none.
        churn: S_churn of the EDM paper, for "ddim": before a step the noise grows by a factor of 1 + churn/steps (at
            most √2) by fresh noise. The network has seen x before that, so this is stochastic DDIM (η > 0).
        sigma_max: the first noise level, at which nothing is left of the image.
    """

    solver: Literal["ddim", "dpm-solver"] = "dpm-solver"
    steps: int = 20
    sigma_min: float = 0.002
    guidance: float = 1.0
    churn: float = 0.0
    sigma_max: float = SIGMA_MAX


class Denoiser(nn.Module):
    """D(x; σ, y) = c_skip(σ) x + c_out(σ) F(c_in(σ) x; c_noise(σ), y), the estimate of x0.

    Args:
        network: F, called as network(x [b, c, h, w], noise level [b], labels [b]); where something is given, x has
            its channels, too, behind the image's.
        shape: (channels, height, width) of an image.
        n_classes: labels are 0 to n_classes - 1; `n_classes` itself is the null label, for unknown or no class.
        sigma_data: standard deviation of the data that the preconditioning assumes.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, int, int], n_classes: int, sigma_data: float = 0.5):
        super().__init__()
        self.network = network
        self.shape = shape
        self.null = n_classes
        self.sigma_data = sigma_data

    def forward(self, x: Tensor, sigma: Tensor, labels: Tensor, given: Tensor | None = None) -> Tensor:
        """Float [b, c, h, w], float [b], int64 [b], float [b, k, h, w] -> [b, c, h, w] (EDM, table 1)."""
        s, d = sigma.reshape(-1, 1, 1, 1), self.sigma_data
        c_skip = d**2 / (s**2 + d**2)
        c_out = s * d / (s**2 + d**2).sqrt()
        c_in = 1 / (s**2 + d**2).sqrt()
        c_noise = sigma.log() / 4
        return c_skip * x + c_out * self._output(c_in * x, c_noise, labels, given)

    def _output(self, scaled: Tensor, c_noise: Tensor, labels: Tensor, given: Tensor | None) -> Tensor:
        """F of c_in x."""
        seen = scaled if given is None else torch.cat([scaled, given], dim=1)
        return self.network(seen, c_noise, labels).float()

    def loss(
        self,
        images: Tensor,
        labels: Tensor,
        generator: torch.Generator,
        noise: NoiseConfig,
        label_dropout: float = 0.0,
        given: Tensor | None = None,
    ) -> Tensor:
        """λ(σ) ‖D(x0 + σ ε; σ, y) - x0‖² per pixel with λ(σ) = (σ² + σ_data²) / (σ σ_data)², one σ and ε per row: [b].

        Args:
            images: x0, float [b, c, h, w] in [-1, 1].
            labels: int64 [b].
            generator: of σ, ε and dropped labels; may be on another device than the images.
            noise: distribution of σ.
            label_dropout: probability with which a row's label becomes the null label.
            given: what is given about each image, float [b, k, h, w].
        """
        b, device = len(images), generator.device
        sigma = (noise.p_mean + noise.p_std * torch.randn(b, generator=generator, device=device)).exp().to(images)
        epsilon = torch.randn(images.shape, generator=generator, device=device).to(images)
        if label_dropout:
            dropped = torch.rand(b, generator=generator, device=device) < label_dropout
            labels = torch.where(dropped.to(labels.device), self.null, labels)
        weight = (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2
        denoised = self(images + sigma.reshape(-1, 1, 1, 1) * epsilon, sigma, labels, given)
        return weight * (denoised - images).square().flatten(1).mean(1)

    @torch.inference_mode()
    def sample(self, labels: Tensor, generator: torch.Generator, sampler: SamplerConfig, batch: int = 0) -> Tensor:
        """One image per label: [n, c, h, w], nominally in [-1, 1].

        All randomness is drawn before the first step, so the images do not depend on `batch`.

        Args:
            labels: int64 [n], on the network's device.
            generator: of the starting noise and of churn.
            sampler: the solver and its settings.
            batch: images that are denoised together; 0 for as many as memory or cache hold.
        """
        n, device = len(labels), generator.device
        starts = torch.randn(n, *self.shape, generator=generator, device=device)
        seeds = torch.randint(2**62, (n,), generator=generator, device=device).tolist()
        return self.denoise(starts.to(labels.device), labels, sampler, seeds=seeds, batch=batch)

    @torch.inference_mode()
    def denoise(
        self,
        starts: Tensor,
        labels: Tensor,
        sampler: SamplerConfig,
        given: Tensor | None = None,
        seeds: Sequence[int] = (),
        batch: int = 0,
    ) -> Tensor:
        """The images that the sampler makes of noise: [n, c, h, w], nominally in [-1, 1].

        Args:
            starts: standard normal noise, float [n, c, h, w], on the network's device; any height and width that the
                network takes.
            labels: int64 [n].
            sampler: the solver and its settings.
            given: what is given about each image, float [n, k, h, w].
            seeds: of each image's fresh noise; needed for churn alone.
            batch: images that are denoised together; 0 for as many as memory or cache hold.
        """
        rows = batch or self._rows_that_fit(starts[:1], labels[:1], None if given is None else given[:1])
        parts = [slice(first, first + rows) for first in range(0, len(starts), rows)]
        return torch.cat(
            [self._denoise(starts[p], labels[p], sampler, None if given is None else given[p], seeds[p]) for p in parts]
        )

    def _rows_that_fit(self, start: Tensor, label: Tensor, given: Tensor | None) -> int:
        """By what training would keep of one image: more than sampling does, layer after layer."""
        with torch.inference_mode(False), torch.enable_grad():
            x, sigma = torch.zeros_like(start), torch.ones(1, device=start.device)
            known = None if given is None else torch.zeros_like(given)
            return rows_that_fit(saved_bytes(lambda: self(x, sigma, label, known)), str(start.device))

    def _denoise(
        self, start: Tensor, labels: Tensor, sampler: SamplerConfig, given: Tensor | None, seeds: Sequence[int]
    ) -> Tensor:
        solver = EDMEulerScheduler if sampler.solver == "ddim" else EDMDPMSolverMultistepScheduler
        schedule: Any = solver(sigma_min=sampler.sigma_min, sigma_max=sampler.sigma_max, sigma_data=self.sigma_data)
        schedule.set_timesteps(sampler.steps, device=start.device)
        churn: dict[str, Any] = {}
        if sampler.churn:
            churn = {"s_churn": sampler.churn, "s_tmin": CHURNED[0], "s_tmax": CHURNED[1]}
            churn["generator"] = [torch.Generator().manual_seed(seed) for seed in seeds]
        x = start * schedule.init_noise_sigma
        for sigma, c_noise in zip(schedule.sigmas, schedule.timesteps, strict=False):  # the last σ is where it ends
            output = self._guided(schedule.scale_model_input(x, c_noise), c_noise, labels, given, sampler.guidance)
            if churn:  # or the scheduler would take the output for that at the churned x
                churn["pred_original_sample"] = schedule.precondition_outputs(x, output, sigma)
            x = schedule.step(output, c_noise, x, **churn).prev_sample
        return x

    def _guided(self, scaled: Tensor, c_noise: Tensor, labels: Tensor, given: Tensor | None, guidance: float) -> Tensor:
        """F with classifier-free guidance; as D is affine in F, guiding F guides D."""
        if guidance == 1:
            return self._output(scaled, c_noise.expand(len(scaled)), labels, given)
        labels = torch.cat([labels, torch.full_like(labels, self.null)])
        given = None if given is None else given.repeat(2, 1, 1, 1)
        output = self._output(scaled.repeat(2, 1, 1, 1), c_noise.expand(len(labels)), labels, given)
        conditional, unconditional = output.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

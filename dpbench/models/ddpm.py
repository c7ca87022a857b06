"""DDPM (Ho et al., arXiv 2006.11239) with discrete time steps: training loss, and DDIM sampling (arXiv 2010.02502).

y is the condition of each image: labels int64 [b], or another input of the network, [b, ...].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from dpbench.models.condition_unet import ConditionUNet

Prediction = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True)
class DDIMConfig:
    """Settings of the sampler.

    Attributes:
        steps: number of time steps, evenly spaced.
        eta: fresh noise per step; 0: none (DDIM), 1: as much as in DDPM.
        guidance: weight w of classifier-free guidance, F = F_null + w (F_y - F_null); 1 disables it.
        last_time: the last time step; the result is the estimate of x0 there. A model trained for few steps leaves
            noise at the smallest time steps.
    """

    steps: int = 200
    eta: float = 1.0
    guidance: float = 1.0
    last_time: int = 0


def latent_diffusion_schedule(prediction: Prediction) -> DDIMScheduler:
    """The noise schedule of latent diffusion: 1000 steps with β from 0.0015 to 0.0155.

    The schedule that its authors call linear is linear in √β: "scaled_linear" in diffusers.
    """
    return DDIMScheduler(
        beta_start=0.0015, beta_end=0.0155, beta_schedule="scaled_linear", prediction_type=prediction,
        clip_sample=False, timestep_spacing="trailing",
    )  # fmt: skip


class DDPM:
    """The noise process x_t = √ᾱ_t x0 + √(1 - ᾱ_t) ε and the training target of a network.

    Args:
        schedule: diffusers' scheduler, which knows ᾱ and the prediction.
        time_bias: training time steps have a density proportional to t^(time_bias - 1); 1: uniform.
    """

    def __init__(self, schedule: DDIMScheduler, time_bias: float = 1.0):
        self._schedule = cast(Any, schedule)
        self._time_bias = time_bias

    def loss(
        self, network: ConditionUNet, x: Tensor, y: Tensor, generator: torch.Generator, label_dropout: float
    ) -> Tensor:
        """‖F(x_t, t, y) - target‖² per element, with one t and ε per row: [b]. The target is ε, or v if F predicts v.

        Args:
            network: F.
            x: x0, float [b, c, h, w], standardised.
            y: [b, ...].
            generator: source of t, ε and dropout; may be on another device than x.
            label_dropout: probability that a row's y is replaced by the null value.
        """
        b, device, schedule = len(x), generator.device, self._schedule
        share = torch.rand(b, generator=generator, device=device) ** (1 / self._time_bias)
        time = (share * len(schedule.betas)).long().clamp_max(len(schedule.betas) - 1).to(x.device)
        epsilon = torch.randn(x.shape, generator=generator, device=device).to(x)
        if label_dropout:
            dropped = torch.rand(b, generator=generator, device=device) < label_dropout
            y = torch.where(dropped.to(y.device).reshape(-1, *[1] * (y.ndim - 1)), network.null, y)
        noisy = schedule.add_noise(x, epsilon, time)
        predicts_v = schedule.config.prediction_type == "v_prediction"
        target = schedule.get_velocity(x, epsilon, time) if predicts_v else epsilon
        return (network(noisy, time, y).float() - target).square().flatten(1).mean(1)

    @torch.no_grad()
    def denoise(
        self, network: ConditionUNet, starts: Tensor, y: Tensor, config: DDIMConfig, seeds: Sequence[int]
    ) -> Tensor:
        """Denoises initial noise to samples of x0: [n, c, h, w].

        Args:
            network: F.
            starts: standard normal noise, float [n, c, h, w], on the network's device.
            y: [n, ...].
            config: settings of the sampler.
            seeds: one seed per sample for its fresh noise, so that a sample does not depend on the others.
        """
        schedule = type(self._schedule).from_config(self._schedule.config)
        schedule.set_timesteps(config.steps)
        noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        x = x0 = starts
        for time in schedule.timesteps.tolist():
            if time < config.last_time:
                break
            output = _guided(network, x, time, y, config.guidance)
            x, x0 = schedule.step(output, time, x, eta=config.eta, generator=noise, return_dict=False)
        return x0


def _guided(network: ConditionUNet, x: Tensor, time: int, y: Tensor, guidance: float) -> Tensor:
    """F with classifier-free guidance; one evaluation of the network if no row has a condition."""
    if guidance == 1 or bool((y == network.null).all()):
        return network(x, time, y).float()
    both = torch.cat([y, torch.full_like(y, network.null)])
    conditional, unconditional = network(x.repeat(2, 1, 1, 1), time, both).float().chunk(2)
    return unconditional + guidance * (conditional - unconditional)

"""What the methods that train a pixel diffusion model by DP-SGD share: network, private training, sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.method import Method
from dpbench.core.specs import Batch, Conditions, DatasetSpec, Request
from dpbench.models.edm import Denoiser, NoiseConfig, SamplerConfig
from dpbench.models.unet import UNet, UNetConfig
from dpbench.privacy.plan import Plan
from dpbench.privacy.private_data import PrivateData
from dpbench.privacy.settings import DPSGDSettings
from dpbench.training.loop import PublicSteps, train
from dpbench.training.public import to_uint8, to_unit

TRAINING = "training"
"""Name of the DP-SGD mechanism."""

PUBLISHED: Mapping[str, Any] = MappingProxyType(
    {
        "channels": (64, 128),
        "layers": 2,
        "attention": 1,
        "patch": 1,
        "sigma_data": 3**-0.5,
        "p_mean": -1.2,
        "label_dropout": 0.1,
        "batch": 4096,
        "steps": 4395,  # 300 epochs of MNIST's 60,000
        "views": 32,
        "lr": 3e-4,
        "clip": 1.0,
        "ema": 0.999,
        "sampler": "ddim",
        "sampling_steps": 1000,
        "sigma_min": 0.002,
        "guidance": 1.0,
        "churn": 10.0,
    }
)
"""The constants of DPDM (arXiv 2210.09929) for MNIST, which the later methods took over; the network about as large."""


@dataclass(frozen=True)
class DiffusionConfig(DPSGDSettings):
    """Settings of private training, of the diffusion model and of its sampler."""

    batch: int = option(1024, "expected records per private step (Poisson)")
    steps: int = option(250, "private steps")
    lr: float = option(4e-3, "peak learning rate of DP-Adam")
    clip: float = option(0.1, "bound on the norm of one record's gradient; below nearly all of them, so it scales them")
    ema: float = option(0.98, "decay of the weights' moving average over private steps")
    channels: tuple[int, ...] = option((32, 32), "channels of the U-Net's levels, the finest first")
    layers: int = option(1, "residual blocks per level of the U-Net")
    attention: int = option(0, "how many of the coarsest levels have self-attention")
    patch: int = option(4, "side of the pixel patches that the U-Net sees as channels; 1 as published")
    sigma_data: float = option(0.5, "standard deviation of the data that the preconditioning assumes")
    p_mean: float = option(-0.8, "mean of ln σ, the noise levels that training visits")
    p_std: float = option(1.2, "standard deviation of ln σ")
    label_dropout: float = option(0.1, "probability with which training hides a label; guidance needs some")
    sampler: Literal["ddim", "dpm-solver"] = option("dpm-solver", "solver of the sampling equation")
    sampling_steps: int = option(16, "calls of the network per image")
    sigma_min: float = option(0.2, "the last noise level; 0.002 as published, larger after a short training")
    guidance: float = option(2.0, "weight of classifier-free guidance; 1 for none")
    churn: float = option(0.0, "S_churn: fresh noise while sampling, for sampler=ddim")

    def weight_shapes(self) -> dict[str, Any]:
        """Every setting, but for the training's own, that trained weights depend on."""
        names = ("channels", "layers", "attention", "patch", "sigma_data", "p_mean", "p_std", "label_dropout")
        return {name: getattr(self, name) for name in names}


class DiffusionMethod(Method):
    """A class-conditional pixel diffusion model whose weights are trained by DP-SGD.

    Args:
        config: settings.
        spec: what the dataset declares.

    Raises:
        ConfigError: the network does not fit the resolution, or settings contradict each other.
    """

    Config = DiffusionConfig

    def __init__(self, config: DiffusionConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        if config.guidance != 1 and not config.label_dropout:
            raise ConfigError(
                "guidance needs a model that was trained with some label_dropout, e.g. 0.1; or set guidance=1"
            )
        if config.churn and config.sampler != "ddim":
            raise ConfigError("churn is for sampler=ddim; the other solver is deterministic")
        self._denoiser = self._new_denoiser(spec.n_classes)

    def _new_denoiser(self, n_classes: int) -> Denoiser:
        c = cast(DiffusionConfig, self.config)
        sizes = UNetConfig(c.channels, c.layers, c.attention, c.patch, c.gradient_checkpointing)
        network = UNet(self.spec.shape, n_classes + 1, sizes)
        return Denoiser(network, self.spec.shape, n_classes, c.sigma_data)

    def plan(self, request: Request) -> Plan:
        """One mechanism: the private training of all weights."""
        return Plan(cast(DiffusionConfig, self.config).mechanism(TRAINING, self.spec))

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Trains all weights on the private images; see `Method.fit`."""
        c = cast(DiffusionConfig, self.config)
        model = self._denoiser.to(run.device).train()
        optimizer = torch.optim.Adam(model.parameters(), c.lr)

        def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            assert batch.images is not None
            return self._loss(cast(Denoiser, model), to_unit(batch.images), batch.labels, generator)

        train(
            private.dp_sgd(TRAINING, model, loss, optimizer, run.generator, **c.stepper_options()),
            model,
            optimizer,
            run,
            "train the diffusion model (private)",
            ema=c.ema,
            note=lambda: f"ε {private.ledger.epsilon_spent():.2f}",
        )

    def _fit_publicly(
        self,
        model: Denoiser,
        draw: Callable[[], tuple[Tensor, Tensor | None]],
        lr: float,
        steps: int,
        run: RunContext,
        name: str,
    ) -> None:
        """Trains on what is public, or released already: `draw` gives a batch of images in [-1, 1] and their labels."""
        optimizer = torch.optim.Adam(model.to(run.device).train().parameters(), lr)

        def loss() -> Tensor:
            images, labels = draw()
            return self._loss(model, images, labels, run.generator).mean()

        train(PublicSteps(loss, optimizer, steps, run), model, optimizer, run, name)

    def _loss(self, model: Denoiser, images: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        c = cast(DiffusionConfig, self.config)
        labels = _or_null(labels, len(images), model).to(images.device)
        return model.loss(images, labels, generator, NoiseConfig(c.p_mean, c.p_std), c.label_dropout)

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """See `Method.sample`."""
        c = cast(DiffusionConfig, self.config)
        given = None if conditions.labels is None else torch.tensor(conditions.labels)
        labels = _or_null(given, conditions.count, self._denoiser).to(run.device)
        sampler = SamplerConfig(c.sampler, c.sampling_steps, c.sigma_min, c.guidance, c.churn)
        with run.autocast():
            return to_uint8(self._denoiser.to(run.device).eval().sample(labels, run.generator, sampler))

    def state_dict(self) -> dict[str, Tensor]:
        """The denoiser's weights."""
        return dict(self._denoiser.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Method.load_state_dict`."""
        self._denoiser.load_state_dict(dict(state))


def _or_null(labels: Tensor | None, count: int, model: Denoiser) -> Tensor:
    return torch.full((count,), model.null) if labels is None else labels

"""Plugins with types throughout: `mypy` checks this file as strictly as dpbench itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dpbench import (
    METHODS,
    METRICS,
    REFINERS,
    ArrayDataset,
    Batch,
    Caveat,
    Choice,
    Column,
    Conditions,
    ConfigError,
    DatasetSpec,
    Degrade,
    DPSGDSettings,
    Estimate,
    Evaluation,
    Extractor,
    Features,
    ImageDataset,
    Loss,
    Method,
    Metric,
    Plan,
    PrivateData,
    PublicBatches,
    PublicSteps,
    Refiner,
    RefinerSettings,
    Request,
    RunContext,
    StoredModel,
    Subset,
    load,
    option,
    plugin_option,
    to_uint8,
    train,
)


@dataclass(frozen=True)
class TypedConfig(DPSGDSettings):
    width: int = option(8, "hidden units")
    refiner: Choice = plugin_option("bicubic", REFINERS, "detail stage")


class Typed(Method[TypedConfig]):
    """A generator trained by DP-SGD."""

    Config = TypedConfig
    track = "images"

    def __init__(self, config: TypedConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        self.network: nn.Module = nn.Linear(config.width, int(np.prod(spec.shape)))

    @classmethod
    def plan(cls, config: TypedConfig, spec: DatasetSpec, request: Request) -> Plan:
        if request.conditions.count < 1:
            raise ConfigError("nothing to sample")
        return Plan(config.mechanism("steps", spec))

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        assert public is not None
        batches = PublicBatches(Subset(public, range(10)), "none", run.device, run.generator)
        optimizer = torch.optim.Adam(self.network.parameters())

        def loss() -> Tensor:
            images, _labels = batches.draw(4)
            return images.square().mean()

        train(PublicSteps(loss, optimizer, 1, run), self.network, optimizer, run, "pretrain")

    def fit(self, private: PrivateData, run: RunContext) -> None:
        def squared(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            assert batch.images is not None
            noise = torch.randn(len(batch), self.config.width, generator=generator)
            error: Tensor = model(noise) - batch.images.flatten(1)
            return error.square().mean(1)

        loss: Loss = squared
        optimizer = torch.optim.Adam(self.network.parameters(), self.config.lr)
        steps = private.dp_sgd("steps", self.network, loss, optimizer, run.generator, **self.config.stepper_options())
        train(steps, self.network, optimizer, run, "finetune", ema=self.config.ema)

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        noise = torch.randn(conditions.count, self.config.width, generator=run.generator)
        return to_uint8(self.network(noise).reshape(-1, *self.spec.shape))

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self.network.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.network.load_state_dict(dict(state))


class Doubled(Refiner[RefinerSettings]):
    """Every pixel twice."""

    def prepare(self, public: ImageDataset, degrade: Degrade, run: RunContext) -> None:
        self.key = degrade.key

    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        return coarse.repeat_interleave(2, -1).repeat_interleave(2, -2)


class Brightness(Extractor):
    """The mean of the pixels."""

    description = "mean of the pixels"

    def __call__(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 2, 3))[:, None]


class Difference(Metric):
    """Difference of mean brightness."""

    columns = (Column("difference", "low", "difference of mean brightness"),)

    def compute(self, evaluation: Evaluation) -> Mapping[str, float | Estimate]:
        means = [mean(features) for features in evaluation.features("brightness")]
        return {"difference": Estimate(abs(means[0] - means[1]), 0.0)}


def mean(features: Features) -> float:
    if len(features) < 10:
        import warnings

        warnings.warn("few images", Caveat, stacklevel=2)
    return float(features.at_most(1000).mean())


def register(names: Sequence[str]) -> None:
    METHODS.register(names[0])(Typed)
    METRICS.register(names[1])(Difference)
    REFINERS.register(names[2])(Doubled)


def images_of(trial: str, spec: DatasetSpec) -> ArrayDataset:
    model: StoredModel = load(trial)
    return ArrayDataset(spec, model.sample(4), None)

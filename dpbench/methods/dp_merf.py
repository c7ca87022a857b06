"""DP-MERF (arXiv 2002.11603): one noisy mean embedding of the private data, then a generator that matches it for free.

The embedding is the mean of random Fourier features per class, so that matching it minimises a maximum mean
discrepancy (MMD) under a Gaussian kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.method import Method, Preset
from dpbench.core.specs import Batch, Conditions, DatasetSpec, Request
from dpbench.models.generator import ConditionalGenerator
from dpbench.privacy.mechanisms import NoisySum
from dpbench.privacy.plan import Plan
from dpbench.privacy.private_data import PrivateData
from dpbench.training.loop import PublicSteps, train


@dataclass(frozen=True)
class DPMERFConfig:
    """Settings of DP-MERF."""

    features: int = option(4000, "random Fourier features (cosines and sines together)")
    bandwidth: float = option(0.1, "kernel variance σ² per pixel value, pixels being in [0, 1]; 0.1 · 32² is about 105")
    count_weight: float = option(0.1, "weight of the class count that is released beside each class's features")
    steps: int = option(1500, "steps of the generator")
    batch: int = option(200, "generated images per step")
    lr: float = option(0.01, "peak learning rate of Adam")
    code: int = option(10, "size of the generator's random code")
    width: int = option(16, "channels of the generator's convolutions")
    seed: int = option(0, "of the random features (public)")


class DPMERF(Method):
    """One noisy sum of random Fourier features per class, then a generator trained to match it (DP-MERF).

    Every record contributes one vector: its features (of norm 1) and a weighted count, in its class's row. The noisy
    sums are the only private release; the generator then minimises the MMD to them, which is post-processing.
    """

    Config = DPMERFConfig
    version = "1"
    track = "none"
    paper = "arXiv 2002.11603"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset(tuning="hold-out of mnist train"),
        "paper": Preset({"features": 10_000, "steps": 3000, "batch": 100}),
    }

    def __init__(self, config: DPMERFConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        self._classes = max(1, spec.n_classes)
        self._generator = ConditionalGenerator(spec.channels, spec.resolution, self._classes, config.code, config.width)

    def plan(self, request: Request) -> Plan:
        """One release over all records."""
        clip = (1 + cast(DPMERFConfig, self.config).count_weight ** 2) ** 0.5
        return Plan(NoisySum(name="mean embedding", clip=clip))

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Releases the embedding, then trains the generator on it; see `Method.fit`."""
        c = cast(DPMERFConfig, self.config)
        frequencies = self._frequencies(run.device)

        def contribution(batch: Batch) -> Tensor:
            """[b, classes, features + 1], sparse: the record's features and count in its class's row."""
            assert batch.images is not None
            features = fourier_features(batch.images.float() / 255, frequencies)
            count = torch.full((len(features), 1), c.count_weight, device=features.device)
            row = torch.zeros(len(features), dtype=torch.long) if batch.labels is None else batch.labels
            place = torch.stack([torch.arange(len(features), device=features.device), row.to(features.device)])
            size = (len(features), self._classes, c.features + 1)
            return torch.sparse_coo_tensor(
                place, torch.cat([features, count], 1), size, is_coalesced=True, check_invariants=False
            )

        sums = private.noisy_sum("mean embedding", contribution)
        counts = (sums[:, -1:] / c.count_weight).clamp_min(1)
        self._match(sums[:, :-1] / counts, frequencies, run)

    def _match(self, targets: Tensor, frequencies: Tensor, run: RunContext) -> None:
        """Trains the generator so that the mean features of class k's images approach targets[k]."""
        c = cast(DPMERFConfig, self.config)
        model = self._generator.to(run.device).train()
        optimizer = torch.optim.Adam(model.parameters(), c.lr)
        per_class = max(2, c.batch // self._classes)
        labels = torch.arange(self._classes, device=run.device).repeat_interleave(per_class)

        def loss() -> Tensor:
            features = fourier_features(model(labels, run.generator), frequencies)
            return mmd_loss(features.reshape(self._classes, per_class, -1), targets)

        steps = PublicSteps(loss, optimizer, c.steps, run)
        train(steps, model, optimizer, run, "train the generator (post-processing)")

    def _frequencies(self, device: str) -> Tensor:
        """[pixels, features / 2] frequencies of the Gaussian kernel; made from the configuration alone."""
        c = cast(DPMERFConfig, self.config)
        pixels = self.spec.channels * self.spec.resolution**2
        normal = torch.randn(pixels, c.features // 2, generator=torch.Generator().manual_seed(c.seed))
        return (normal / (c.bandwidth * pixels) ** 0.5).to(device)

    @torch.inference_mode()
    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """See `Method.sample`."""
        labels = torch.zeros(conditions.count, dtype=torch.long)
        if conditions.labels is not None:
            labels = torch.tensor(conditions.labels)
        images = self._generator.to(run.device).eval()(labels.to(run.device), run.generator)
        return (images * 255).round().to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        """The generator's weights."""
        return dict(self._generator.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Method.load_state_dict`."""
        self._generator.load_state_dict(dict(state))


def fourier_features(images: Tensor, frequencies: Tensor) -> Tensor:
    """Random Fourier features of norm 1: [b, c, h, w] -> [b, features], cosines then sines."""
    phase = images.flatten(1) @ frequencies
    return torch.cat([phase.cos(), phase.sin()], dim=1) / frequencies.shape[1] ** 0.5


def mmd_loss(features: Tensor, targets: Tensor) -> Tensor:
    """Unbiased MMD² to the targets, up to a constant, summed over classes.

    Features have norm 1, so the m diagonal terms of ‖Σφ‖² are exactly m; leaving them out keeps small batches from
    rewarding images that are all alike.

    Args:
        features: [classes, m, features] of generated images.
        targets: [classes, features] mean features to be matched.
    """
    m = features.shape[1]
    total = features.sum(1)
    among_generated = (total.square().sum(1) - m) / (m * (m - 1))
    return (among_generated - 2 * (total * targets).sum(1) / m).sum()

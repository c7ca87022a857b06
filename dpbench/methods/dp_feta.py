"""DP-FETA (Li et al., "From Easy to Hard", arXiv 2504.01395): a curriculum that starts with noisy central images.

A central image is the mean of a random subset of one class: easy to learn, and cheap to release. The diffusion model
is warmed up on a few of them before DP-SGD shows it the private images themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.method import Preset
from dpbench.core.specs import Batch, DatasetSpec, Request
from dpbench.methods.cores.diffusion import PUBLISHED, DiffusionConfig, DiffusionMethod
from dpbench.privacy.mechanisms import NoisySum
from dpbench.privacy.plan import Plan
from dpbench.privacy.private_data import PrivateData
from dpbench.training.public import AUGMENTATIONS, to_unit

CENTRAL = "central images"


@dataclass(frozen=True)
class DPFETAConfig(DiffusionConfig):
    """Settings of DP-FETA."""

    central_images: int = option(5, "noisy central images per class")
    central_rate: float = option(0.1, "share of the records that each of them averages (Poisson)")
    central_noise: float = option(5.0, "noise multiplier of each release of central images, one per class")
    warmup_steps: int = option(500, "training steps on the central images (post-processing)")
    warmup_batch: int = option(64, "central images per warm-up step")
    warmup_lr: float = option(1e-3, "peak learning rate of the warm-up (Adam)")
    augmentation: Literal["none", "flip"] = option("none", "how central images are varied")


class DPFETA(DiffusionMethod):
    """A diffusion model warmed up on noisy central images, then trained by DP-SGD (DP-FETA).

    Two mechanisms share the budget: a few noisy sums of a random subset's images, one sum per class, and DP-SGD. The
    sums are divided by the number of records that is expected in a class, never by the number that was drawn.
    """

    Config = DPFETAConfig
    version = "1"
    track = "none"
    paper = "arXiv 2504.01395"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset({"views": 2}),
        "small/mnist": Preset(tuning="hold-out of mnist train"),
        "small/shapes": Preset(
            {"batch": 512, "steps": 120, "warmup_steps": 200, "augmentation": "flip", "sampling_steps": 10}
        ),
        "paper": Preset(
            {
                **PUBLISHED,
                "warmup_steps": 2000,  # epochs: a batch holds all 50 central images of MNIST
                "warmup_batch": 50,
                "warmup_lr": 3e-4,
            }
        ),
    }

    def __init__(self, config: DPFETAConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        self._classes = max(1, spec.n_classes)

    def plan(self, request: Request) -> Plan:
        """The central images, whose noise is fixed, and DP-SGD with what they leave of the budget."""
        c = cast(DPFETAConfig, self.config)
        central = NoisySum(
            name=CENTRAL,
            clip=math.sqrt(math.prod(self.spec.shape)),  # the norm of an image whose pixels are all -1 or 1
            noise_multiplier=c.central_noise,
            rate=c.central_rate,
            count=c.central_images,
        )
        return Plan(central, *super().plan(request).mechanisms)

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Warm-up on the central images, then private training; see `Method.fit`."""
        c = cast(DPFETAConfig, self.config)
        images = torch.cat([self._central_images(private) for _ in range(c.central_images)])
        labels = torch.arange(self._classes).repeat(c.central_images)

        def draw() -> tuple[Tensor, Tensor | None]:
            chosen = torch.randint(len(images), (c.warmup_batch,), generator=run.generator)
            varied = AUGMENTATIONS[c.augmentation](images[chosen], run.generator).to(run.device)
            return varied, labels[chosen] if self.spec.classes else None

        self._fit_publicly(
            self._denoiser, draw, c.warmup_lr, c.warmup_steps, run, "warm up on central images (post-processing)"
        )
        super().fit(private, run)

    def _central_images(self, private: PrivateData) -> Tensor:
        """One release: a noisy central image of each class, [classes, c, h, w] in [-1, 1], on the CPU."""
        sums = private.noisy_sum(CENTRAL, self._in_its_class)
        expected = cast(DPFETAConfig, self.config).central_rate * self.spec.n_train / self._classes
        return (sums.cpu() / expected).clamp(-1, 1)

    def _in_its_class(self, batch: Batch) -> Tensor:
        """[b, classes, c, h, w], sparse: the record's image in its class's place."""
        assert batch.images is not None
        images = to_unit(batch.images)
        labels = torch.zeros(len(images), dtype=torch.long) if batch.labels is None else batch.labels
        place = torch.stack([torch.arange(len(images), device=images.device), labels.to(images.device)])
        size = (len(images), self._classes, *self.spec.shape)
        return torch.sparse_coo_tensor(place, images, size, is_coalesced=True, check_invariants=False)

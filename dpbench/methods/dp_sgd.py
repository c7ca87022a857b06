"""DP-SGD on every weight of a publicly pretrained diffusion model ("PDP-Diffusion", Ghalebikesabi et al., 2302.13861).

The plainest way to use public images, and the one that cleverer methods have to beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.method import Preset
from dpbench.methods.cores.diffusion import PUBLISHED, DiffusionConfig, DiffusionMethod
from dpbench.training.public import Augmentation, PublicBatches

LABEL_EMBEDDING = "network.unet.class_embedding.weight"


@dataclass(frozen=True)
class DPSGDFinetuningConfig(DiffusionConfig):
    """Settings of full finetuning by DP-SGD."""

    public_steps: int = option(1500, "public pretraining steps")
    public_batch: int = option(128, "public images per pretraining step")
    public_lr: float = option(1e-3, "peak learning rate of public pretraining (Adam)")
    augmentation: Augmentation = option("flip", "how public images are varied")
    scatter: float = option(1.0, "spread of the private classes' first embeddings around the public mean; 0: all alike")


class DPSGDFinetuning(DiffusionMethod):
    """A diffusion model pretrained on public images, all of its weights finetuned by DP-SGD.

    A class-conditional U-Net in the EDM formulation. The embeddings of the private classes start untrained, at random
    around the mean of the public ones: classes that start alike are slow to part under DP-SGD.
    """

    Config = DPSGDFinetuningConfig
    version = "1"
    track = "images"
    paper = "arXiv 2302.13861"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset({"augmentation": "strokes"}, tuning="hold-out of mnist train"),
        "small/shapes": Preset({"public_steps": 600, "batch": 512, "steps": 160, "sampling_steps": 10}),
        "paper": Preset(
            {
                **PUBLISHED,
                "public_steps": 200_000,  # 160 epochs of ImageNet's 1.28 million
                "public_batch": 1024,
                "public_lr": 3e-4,
            }
        ),
    }

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Pretrains on public images and their labels, if they have any; see `Method.prepare`."""
        if public is None:
            raise ConfigError("dp-sgd finetunes a public model and needs public images; name a source with --public")
        c = cast(DPSGDFinetuningConfig, self.config)
        own = ("public_steps", "public_batch", "public_lr", "augmentation")
        key = {"public": public.fingerprint, "version": self.version, **c.weight_shapes()}
        key |= {name: getattr(c, name) for name in own}
        state = run.cache.get("diffusion", key, lambda generator: self._pretrain(public, run, generator))
        self._denoiser.load_state_dict(self._adopt(state, public.spec.n_classes, run.generator))

    def _pretrain(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> Mapping[str, Tensor]:
        c = cast(DPSGDFinetuningConfig, self.config)
        model = self._new_denoiser(public.spec.n_classes)
        batches = PublicBatches(public, c.augmentation, run.device, generator)
        self._fit_publicly(
            model,
            lambda: batches.draw(c.public_batch),
            c.public_lr,
            c.public_steps,
            replace(run, generator=generator),
            "pretrain the diffusion model (public)",
        )
        return model.state_dict()

    def _adopt(self, state: Mapping[str, Tensor], public_classes: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The public weights, the public classes' embeddings replaced by untrained private ones around their mean."""
        *classes, null = state[LABEL_EMBEDDING].split([1] * public_classes + [1])
        mean = torch.cat(classes or [null]).mean(0, keepdim=True)
        if classes and not self.config.label_dropout:  # then pretraining never met the null label
            null = mean
        spread = torch.randn(self.spec.n_classes, mean.shape[1], generator=generator)
        return {**state, LABEL_EMBEDDING: torch.cat([mean + self.config.scatter * spread, null])}

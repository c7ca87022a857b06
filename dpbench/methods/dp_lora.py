"""DP-LoRA: a public latent diffusion model finetuned by DP-SGD through low-rank adapters of its attention.

`select=saliency` is DP-SAPF (arXiv 2605.30312): a noisy sum of squared gradient norms first chooses the attention
matrices that get an adapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.method import Preset
from dpbench.core.specs import DatasetSpec, Request
from dpbench.methods.cores.latent.latent_method import LatentMethod
from dpbench.methods.cores.latent.latent_settings import GPU, PUBLISHED, SCENES, SHAPES, LatentConfig
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.privacy.private_data import PrivateData

SALIENCY = "saliency"
"""Name of the mechanism that releases the attention matrices' squared gradient norms."""


@dataclass(frozen=True)
class DPLoRAConfig(LatentConfig):
    """Settings of DP-LoRA."""

    lr: float = option(4e-3, "peak learning rate of DP-AdamW; matters more than the rank", above=0, high=10)
    rank: int = option(8, "rank of the adapters; 4 published for select=saliency", low=1)
    alpha: float = option(8.0, "strength of the adapters; the plain product if equal to the rank", above=0)
    select: Literal["all", "saliency"] = option("all", "attention matrices with adapters: all, or the most salient")
    share: float = option(0.5, "share of the attention matrices that select=saliency keeps", above=0, high=1)
    saliency_clip: float = option(1e-3, "clipping norm of a record's gradient in the query of select=saliency", above=0)
    saliency_noise: float = option(50.0, "noise multiplier of the query of select=saliency; 5 as published", above=0)


class DPLoRA(LatentMethod[DPLoRAConfig]):
    """A public latent diffusion model finetuned by DP-SGD through adapters of its attention (DP-LoRA).

    DP-SGD trains low-rank adapters of the query, key, value and output projections. It trains in full the biases of
    these layers and the class embedder or, with captions, the word projection. Each record's gradient is averaged over
    `views` noise draws. The public part is the same as in `dp-ldm`.
    """

    Config = DPLoRAConfig
    version = "1"
    track = "images"
    paper = "arXiv 2406.01355"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset({"augmentation": "strokes"}),
        "small/shapes": Preset(SHAPES, tuning="hold-out of shapes train"),
        "small/scenes": Preset(SCENES),
        "gpu": Preset(GPU),
        "gpu/mnist": Preset({"augmentation": "strokes"}),
        "gpu/scenes": Preset({"augmentation": "none", "text_tokens": 24}),
        "paper": Preset({**PUBLISHED, "views": 8}),
    }

    @classmethod
    def plan(cls, config: DPLoRAConfig, spec: DatasetSpec, request: Request) -> Plan:
        """DP-SGD and, for select=saliency, one sum over all records with fixed noise."""
        training = super().plan(config, spec, request)
        if config.select == "all":
            return training
        clip = config.saliency_clip**2  # of squared norms
        return Plan(NoisySum(name=SALIENCY, clip=clip, noise_multiplier=config.saliency_noise), *training.mechanisms)

    def choose_weights(self, latents: PrivateData, run: RunContext) -> None:
        """Trains adapters of the chosen attention matrices, the biases of their layers, and the condition embedder."""
        from dpbench.methods.cores.latent.attention_adapters import add_attention_adapters
        from dpbench.methods.cores.latent.attention_saliency import attention_matrices, most_salient

        c, model = self.config, self.model
        chosen = list(attention_matrices(model.unet))
        if c.select == "saliency":
            chosen = most_salient(latents, SALIENCY, model.unet, model.loss, c.saliency_clip, c.share, run)
        add_attention_adapters(model.unet, chosen, c.rank, c.alpha, run.generator)
        model.unet.embedder.requires_grad_(True)

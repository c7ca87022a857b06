"""DP-LDM (Liu et al., arXiv 2305.15759): a public latent diffusion model whose attention is finetuned by DP-SGD.

Autoencoder and U-Net are trained on public images. On private images, only the attention blocks and the condition
embedder are trained. They are a small part of the weights, so less noise is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.method import Preset
from dpbench.core.specs import DatasetSpec
from dpbench.methods.cores.latent.latent_method import LatentMethod
from dpbench.methods.cores.latent.latent_settings import GPU, PUBLISHED, SCENES, SHAPES, LatentConfig

if TYPE_CHECKING:
    from dpbench.privacy.private_data import PrivateData


@dataclass(frozen=True)
class DPLDMConfig(LatentConfig):
    """Settings of DP-LDM."""

    frozen_blocks: int = option(
        0, "number of leading attention blocks that are kept frozen; 8 published for CIFAR-10", low=0
    )


class DPLDM(LatentMethod[DPLDMConfig]):
    """A public latent diffusion model whose attention and conditioning are finetuned by DP-SGD (DP-LDM).

    The public autoencoder computes the latents of the private images once. DP-SGD trains the spatial transformers and
    the class embedder, which starts at random around the mean of the public classes. With captions, cross-attention
    sees their words, and the word projection is trained instead of the class embedder.
    """

    Config = DPLDMConfig
    version = "1"
    track = "images"
    paper = "arXiv 2305.15759"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset({"augmentation": "strokes"}),
        "small/shapes": Preset(SHAPES, tuning="hold-out of shapes train"),
        "small/scenes": Preset(SCENES),
        "gpu": Preset(GPU),
        "gpu/mnist": Preset({"augmentation": "strokes"}),
        "gpu/scenes": Preset({"augmentation": "none", "text_tokens": 24}),
        "paper": Preset(PUBLISHED),
    }

    def __init__(self, config: DPLDMConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        frozen, blocks = config.frozen_blocks, len(self.model.unet.attention)
        if 0 < blocks <= frozen:
            raise ConfigError(
                f"frozen_blocks={frozen} leaves no attention block to train, as there are {blocks}; set fewer"
            )

    def choose_weights(self, latents: PrivateData, run: RunContext) -> None:
        """Trains all attention blocks except the first `frozen_blocks`, and the condition embedder."""
        unet = self.model.unet
        unet.requires_grad_(False)
        for block in (*unet.attention[self.config.frozen_blocks :], unet.embedder):
            block.requires_grad_(True)

"""Training and sampling of the wavelet method's parts: tokenizer, coarse stage and refiner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dpbench.core.cache import weights_hash
from dpbench.core.config import values_of
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.refiner import Refiner
from dpbench.core.registries import REFINERS
from dpbench.core.specs import Batch, Conditions, DatasetSpec
from dpbench.core.state_parts import joined, part_of
from dpbench.methods.cores.released_images import ReleasedImages
from dpbench.methods.cores.tokens.token_model import TokenModel
from dpbench.methods.cores.tokens.token_settings import TokenizerTraining
from dpbench.methods.cores.warm_up.central_images import central_images
from dpbench.methods.wavelet.corruption import Retokenised
from dpbench.methods.wavelet.real_tokens import RealTokens
from dpbench.methods.wavelet.scale_sizes import Scales
from dpbench.methods.wavelet.sequences import Sequences
from dpbench.methods.wavelet.settings import TokenizerSettings, WaveletConfig
from dpbench.methods.wavelet.spectral_tokenizer import SpectralTokenizer
from dpbench.models.haar import coarse
from dpbench.models.image_range import to_uint8, unit_images
from dpbench.models.token_order import one_by_one
from dpbench.privacy.private_data import PrivateData
from dpbench.training.public_batches import PublicBatches


class TwoStages:
    """A coarse stage over spectral tokens and a refiner that adds the detail bands.

    Args:
        config: settings of all parts.
        spec: the dataset's public declaration.

    Attributes:
        source: source of the sampled tokens: the coarse stage, or real tokens.
    """

    def __init__(self, config: WaveletConfig, spec: DatasetSpec):
        self.config = config
        self.spec = spec
        scales = Scales(spec.channels, spec.resolution, config.levels, config.patch)
        self.tokenizer = SpectralTokenizer(scales, config, depth=1 if config.tokens == "ll" else 0)
        self.sequences = Sequences(self.tokenizer, config.order)
        self.coarse = TokenModel(
            config,
            self.sequences.encode,
            self.tokenizer.vocabulary,
            one_by_one(len(self.sequences)),
            spec,
            self.sequences.allowed,
        )
        self.refiner: Refiner[Any] = REFINERS.get(config.refiner.name)(config.refiner.config)
        self.source: TokenModel | RealTokens = self.coarse

    def prepare(self, public: ImageDataset, version: str, run: RunContext) -> None:
        """Trains tokenizer and coarse stage on public images, or loads them from the cache."""
        c, source = self.config, {"public": public.fingerprint, "augmentation": self.config.augmentation}
        settings = values_of(c, TokenizerSettings, TokenizerTraining)
        key = source | settings | {"version": version, "scales": self.tokenizer.depth}
        tokenizer = run.cache.get("wavelet-tokenizer", key, lambda g: self._learn_tokenizer(public, run, g))
        self.tokenizer.load_state_dict(tokenizer)
        self.tokenizer.to(run.device).eval()
        key = source | {"tokenizer": weights_hash(tokenizer), "tokens": c.tokens, "order": c.order}
        key |= self.coarse.pretraining_key
        transformer = run.cache.get("wavelet-coarse", key, lambda g: self._pretrain(public, run, g))
        self.coarse.load_public_weights(transformer, run.generator)
        self.coarse.transformer.to(run.device)

    def prepare_refiner(self, public: ImageDataset, run: RunContext) -> None:
        """Trains the refiner on public images, or loads it from the cache. Call it after `prepare`."""
        if self.config.tokens == "ll":
            self.refiner.prepare(public, Retokenised(self.tokenizer, self.config), run)

    def _learn_tokenizer(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> dict[str, Tensor]:
        tokenizer = SpectralTokenizer(self.tokenizer.scales, self.config, self.tokenizer.depth).to(run.device)
        augmentation = self.config.of_tokenizer(self.config.augmentation)
        batches = PublicBatches(public, augmentation, run.device, generator)
        tokenizer.learn(self.config, batches, replace(run, generator=generator))
        return dict(tokenizer.state_dict())

    def _pretrain(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> dict[str, Tensor]:
        return self.coarse.pretrained(public, replace(run, generator=generator))

    def use_real_tokens(self, private: PrivateData) -> None:
        """Makes `sample` use real tokens. Not private."""
        self.source = RealTokens.of(private, self.sequences.encode)

    def warm_up(self, private: PrivateData, mechanism: str, run: RunContext) -> None:
        """Trains the coarse stage on noisy central images, as DP-FETA does in pixel space; not in the paper.

        The release is one noisy sum of LL bands per class. With many records and a small band, it needs little budget.
        """
        images = self.central_images(private, mechanism)
        self.coarse.warm_up(images.batches(self.config.augmentation, run), self.config.central_steps, run)

    def central_images(self, private: PrivateData, mechanism: str) -> ReleasedImages:
        """The noisy mean LL band of each class, upsampled to full size: [classes, c, h, w] in [-1, 1]."""
        bands = central_images(private, mechanism, self._unit_band)
        block = 2**self.config.levels
        return ReleasedImages(bands.images.repeat_interleave(block, -1).repeat_interleave(block, -2), bands.labels)

    def _unit_band(self, batch: Batch) -> Tensor:
        """The LL band of each image in [0, 1]: [b, c, side, side]."""
        return (coarse(unit_images(batch), self.config.levels) + 1) / 2

    def finetune(self, private: PrivateData, mechanism: str, run: RunContext) -> None:
        """Trains the coarse stage by DP-SGD on the tokens of the private images."""
        tokens = private.derive(lambda batch: self.coarse.encode(unit_images(batch)))
        self.coarse.finetune(tokens, mechanism, run)

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]; tokens=all needs no refiner."""
        if self.config.tokens == "all":
            return to_uint8(self.drawn(conditions, 1, run))
        draws = self.refiner.draws
        coarse = self.drawn(conditions, draws, run).unflatten(0, (-1, draws))
        return to_uint8(self.refiner(coarse, self.spec.resolution, run))

    @torch.inference_mode()
    def drawn(self, conditions: Conditions, draws: int, run: RunContext) -> Tensor:
        """The images decoded from sampled tokens, `draws` per condition: [n * draws, c, side, side]."""
        self.tokenizer.to(run.device).eval()
        asked = self.coarse.condition.asked(conditions)
        repeated = None if asked is None else asked.repeat_interleave(draws, dim=0)
        return self.sequences.decode(self.source.sample(repeated, conditions.count * draws, run))

    def state_dict(self) -> dict[str, Tensor]:
        """Weights of tokenizer, transformer and refiner, and the real tokens if they are the source."""
        parts = {
            "tokenizer": self.tokenizer.state_dict(),
            "transformer": self.coarse.transformer.state_dict(),
            "refiner": self.refiner.state_dict(),
            "real": vars(self.source) if isinstance(self.source, RealTokens) else {},
        }
        return joined(parts)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        self.tokenizer.load_state_dict(part_of(state, "tokenizer"))
        self.coarse.transformer.load_state_dict(part_of(state, "transformer"))
        if refiner := part_of(state, "refiner"):
            self.refiner.load_state_dict(refiner)
        if real := part_of(state, "real"):
            self.source = RealTokens(**real)

    def parameters(self) -> tuple[int, int]:
        """(number of weights trained privately, number of all weights)."""
        private = self.coarse.trained if self.source is self.coarse else 0
        modules = self.tokenizer, self.coarse.transformer
        total = sum(t.numel() for module in modules for t in module.state_dict().values())
        return private, total + self.refiner.parameters()

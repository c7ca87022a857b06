"""The two-stage wavelet method (DP-Wavelet, arXiv 2602.23262): coarse stage private, detail stage public.

Hypothesis: what is private about an image is mostly in its coarse wavelet band; fine detail is generic. So the whole
budget goes to an autoregressive model over the tokens of the LL band, and detail is added by post-processing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor

from dpbench.core.config import Choice, option, plugin_option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.method import Method, Preset
from dpbench.core.refiner import Refiner
from dpbench.core.registries import REFINERS
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.methods.wavelet import central
from dpbench.methods.wavelet.central import CentralSettings
from dpbench.methods.wavelet.coarse import FINETUNE, CoarseSettings, CoarseStage
from dpbench.methods.wavelet.corruption import CorruptionSettings, Retokenised
from dpbench.methods.wavelet.learning import TokenizerTraining, learn
from dpbench.methods.wavelet.real import RealTokens
from dpbench.methods.wavelet.scale_tokens import Scales
from dpbench.methods.wavelet.tokenizer import SpectralTokenizer
from dpbench.privacy.plan import Plan
from dpbench.privacy.private_data import PrivateData
from dpbench.training.public import AUGMENTATIONS, Augmentation, PublicBatches, to_uint8, unit_images


@dataclass(frozen=True)
class WaveletConfig(CorruptionSettings, CentralSettings, CoarseSettings, TokenizerTraining):
    """Settings of the wavelet method."""

    augmentation: Augmentation = option("flip", "how public images are varied")
    coarse: Literal["model", "real"] = option("model", "real puts real coarse bands in place of drawn ones: no privacy")
    refiner: Choice = plugin_option("regression", REFINERS, "detail stage")


class Wavelet(Method):
    """Coarse wavelet band by a DP-finetuned autoregressive token model, detail by a public super-resolver.

    A spectral tokenizer, learnt from public images, turns the bands of a Haar transform into tokens, coarse to fine.
    A transformer over the tokens of the LL band is pretrained on public images and finetuned with DP-SGD on the private
    ones; the class stands as a prefix token. A refiner trained on public images adds the detail bands, free by
    post-processing. Controls: coarse=real, tokens=all, refiner.name=bicubic.
    """

    Config = WaveletConfig
    version = "2"
    track = "images"
    paper = "arXiv 2602.23262"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/shapes": Preset(
            {
                "tokenizer_steps": 800,
                "tokenizer_batch": 32,
                "dim": 96,
                "depth": 3,
                "public_steps": 800,
                "batch": 1024,
                "steps": 120,
                "refiner.steps": 600,
            },
            tuning="hold-out of shapes train",
        ),
        "small/mnist": Preset(
            {"augmentation": "strokes", "refiner.augmentation": "strokes", "steps": 100},
            tuning="hold-out of mnist train",
        ),
        "paper": Preset(
            {
                "levels": 3,  # SIT-4 at 256 pixels: 4 scales of 256 tokens
                "codes": 8192,
                "detail_codes": 8192,
                "code_dim": 32,
                "perceptual": 0.1,
                "adversarial": 0.1,
                "tokenizer_dim": 512,  # from here on sizes of our choice: large, and not the authors'
                "tokenizer_depth": 6,
                "tokenizer_heads": 8,
                "tokenizer_steps": 200_000,
                "dim": 768,
                "depth": 12,
                "heads": 12,
                "public_steps": 200_000,
                "public_batch": 256,
                "public_lr": 3e-4,
                "batch": 4096,
                "steps": 1000,
                "lr": 3e-4,
                "ema": 0.99,
                "refiner.name": "residual",
            }
        ),
    }

    def __init__(self, config: WaveletConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        if config.coarse == "real" and not spec.public_benchmark:
            raise ConfigError("coarse=real puts real images into its output; it is for public benchmarks only")
        scales = Scales(spec.channels, spec.resolution, config.levels, config.patch)
        self._tokenizer = SpectralTokenizer(scales, config)
        self._stage = CoarseStage(config, self._tokenizer, spec.n_classes)
        self._refiner: Refiner = REFINERS.get(config.refiner.name)(config.refiner.config)
        self._source: CoarseStage | RealTokens = self._stage

    def plan(self, request: Request) -> Plan:
        """The private finetuning, and the central images if there are any; nothing for coarse=real."""
        c = cast(WaveletConfig, self.config)
        if c.coarse == "real":
            return Plan()
        finetune = c.mechanism(FINETUNE, self.spec)
        return Plan(central.mechanism(c, self._tokenizer.scales), finetune) if c.central_noise else Plan(finetune)

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Tokenizer, transformer and refiner from public images; see `Method.prepare`."""
        if public is None:
            raise ConfigError("the wavelet method needs public images; name a source with --public")
        c = cast(WaveletConfig, self.config)
        key: dict[str, Any] = {"public": public.fingerprint, "augmentation": c.augmentation, "version": self.version}
        key |= {f.name: getattr(c, f.name) for f in fields(TokenizerTraining)}
        tokenizer = run.cache.get("wavelet-tokenizer", key, lambda g: self._learn_tokenizer(public, run, g))
        self._tokenizer.load_state_dict(tokenizer)
        self._tokenizer.to(run.device).eval()
        if c.tokens == "ll":
            self._refiner.prepare(public, Retokenised(self._tokenizer, c, key), run)
        names = (
            "tokens",
            "order",
            "dim",
            "depth",
            "heads",
            "public_steps",
            "public_batch",
            "public_lr",
            "label_dropout",
        )
        of_tokens = key | {name: getattr(c, name) for name in names}
        transformer = run.cache.get("wavelet-coarse", of_tokens, lambda g: self._pretrain(public, run, g))
        self._stage.adopt(transformer, run.generator)
        self._stage.transformer.to(run.device)

    def _learn_tokenizer(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> dict[str, Tensor]:
        c = cast(WaveletConfig, self.config)
        tokenizer = SpectralTokenizer(self._tokenizer.scales, c).to(run.device)
        batches = PublicBatches(public, c.augmentation, run.device, generator)
        learn(tokenizer, c, batches, replace(run, generator=generator))
        return dict(tokenizer.state_dict())

    def _pretrain(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> dict[str, Tensor]:
        batches = PublicBatches(public, self.config.augmentation, run.device, generator)
        return self._stage.pretrain(batches, public.spec.n_classes, replace(run, generator=generator))

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Finetunes on the private tokens; see `Method.fit`."""
        c = cast(WaveletConfig, self.config)
        if c.coarse == "real":
            self._source = RealTokens.of(private, self._stage)
            return
        if c.central_noise:
            self._warm_up(private, run)
        self._stage.finetune(private.derive(lambda batch: self._stage.encode(unit_images(batch))), run)

    def _warm_up(self, private: PrivateData, run: RunContext) -> None:
        c = cast(WaveletConfig, self.config)
        images = central.release(private, self.spec, self._tokenizer.scales)

        def draw() -> tuple[Tensor, Tensor]:
            labels = torch.randint(len(images), (c.public_batch,), generator=run.generator)
            varied = AUGMENTATIONS[c.augmentation](images[labels.to(images.device)].cpu(), run.generator)
            return varied.to(run.device), labels

        self._stage.warm_up(draw, c.central_steps, run)

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """Tokens, decoded, and refined unless they were those of all bands; see `Method.sample`."""
        labels = None if conditions.labels is None else torch.tensor(conditions.labels)
        with torch.inference_mode():
            images = self._tokenizer.decode(self._source.sample(labels, conditions.count, run))
        if images.shape[-1] < self.spec.resolution:
            images = self._refiner.refine(images, self.spec.resolution, run)
        return to_uint8(images)

    def state_dict(self) -> dict[str, Tensor]:
        """Tokenizer, transformer, refiner, and the real tokens of coarse=real."""
        parts = {
            "tokenizer": self._tokenizer.state_dict(),
            "transformer": self._stage.transformer.state_dict(),
            "refiner": self._refiner.state_dict(),
            "real": vars(self._source) if isinstance(self._source, RealTokens) else {},
        }
        return {f"{part}.{name}": value for part, tensors in parts.items() for name, value in tensors.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Method.load_state_dict`."""
        self._tokenizer.load_state_dict(_part(state, "tokenizer"))
        self._stage.transformer.load_state_dict(_part(state, "transformer"))
        if refiner := _part(state, "refiner"):
            self._refiner.load_state_dict(refiner)
        if real := _part(state, "real"):
            self._source = RealTokens(**real)

    def parameters(self) -> tuple[int, int]:
        """(weights trained privately, all weights of tokenizer, transformer and refiner)."""
        private = self._stage.trained if self._source is self._stage else 0
        modules = sum(t.numel() for name, t in self.state_dict().items() if not name.startswith("real."))
        return private, modules


def _part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}

"""The two-stage wavelet method (DP-Wavelet, arXiv 2602.23262): coarse stage private, detail stage public.

Hypothesis: what is private about an image is mostly in its coarse wavelet band; fine detail is generic. So the whole
budget goes to an autoregressive model over the tokens of the LL band, and detail is added by post-processing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from dpbench.core.config import Choice, option, plugin_option
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.plugins import Method, Preset, Refiner
from dpbench.core.registries import REFINERS
from dpbench.core.run import RunContext
from dpbench.core.specs import Batch, Conditions, DatasetSpec, Request
from dpbench.methods.wavelet.corruption import Retokenised
from dpbench.methods.wavelet.tokenizer import PatchTokenizer, kmeans, to_patches
from dpbench.models.haar import coarse
from dpbench.models.transformer import TokenTransformer, TransformerConfig
from dpbench.privacy.plan import Plan
from dpbench.privacy.private_data import PrivateData
from dpbench.privacy.settings import DPSGDSettings
from dpbench.training.loop import PublicSteps, train
from dpbench.training.public import Augmentation, PublicBatches, to_uint8, to_unit


@dataclass(frozen=True)
class WaveletConfig(DPSGDSettings):
    """Settings of the wavelet method."""

    levels: int = option(2, "Haar levels between the image and its coarse band")
    patch: int = option(2, "side of a token's patch in the coarse band")
    codes: int = option(256, "entries of the codebook")
    dim: int = option(128, "width of the transformer")
    depth: int = option(4, "blocks of the transformer")
    heads: int = option(4, "attention heads of the transformer")
    public_steps: int = option(1500, "public pretraining steps of the transformer")
    public_batch: int = option(128, "public images per pretraining step")
    public_lr: float = option(1e-3, "peak learning rate of public pretraining (AdamW)")
    augmentation: Augmentation = option("flip", "how public images are varied")
    temperature: float = option(1.0, "divides the logits when sampling")
    top_p: float = option(1.0, "samples from the likeliest tokens of this total probability")
    flip: float = option(0.05, "share of tokens replaced at random in the refiner's training inputs")
    noise: float = option(0.05, "noise added to the refiner's training inputs, images being in [-1, 1]")
    refiner: Choice = plugin_option("regression", REFINERS, "detail stage")


class Wavelet(Method):
    """Coarse wavelet band by a DP-finetuned autoregressive token model, detail by a public super-resolver.

    The LL band of an L-level Haar transform is cut into patches, each replaced by its nearest entry of a public
    codebook.
    A transformer over these tokens is pretrained on public images and finetuned with DP-SGD on the private ones; the
    class stands as a prefix token. A refiner trained on public images adds the detail bands, free by post-processing.
    """

    Config = WaveletConfig
    version = "1"
    track = "images"
    paper = "arXiv 2602.23262"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/shapes": Preset(
            {
                "codes": 512,
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
            {"augmentation": "strokes", "refiner.augmentation": "strokes"}, tuning="hold-out of mnist train"
        ),
    }

    def __init__(self, config: WaveletConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        if spec.resolution % 2**config.levels:
            raise ConfigError(
                f"{config.levels} Haar levels do not divide {spec.resolution} pixels; "
                f"choose a resolution that is a multiple of {2**config.levels}, or set fewer levels"
            )
        side = spec.resolution >> config.levels
        codebook = torch.zeros(config.codes, spec.channels * config.patch**2)
        self._tokenizer = PatchTokenizer(codebook, config.patch, spec.channels, side)
        self._refiner: Refiner = REFINERS.get(config.refiner.name)(config.refiner.config)
        self._transformer = self._new_transformer(max(1, spec.n_classes))

    def _new_transformer(self, conditions: int) -> TokenTransformer:
        c = cast(WaveletConfig, self.config)
        length, recompute = self._tokenizer.length, c.gradient_checkpointing
        sizes = TransformerConfig(c.codes, length, conditions, c.dim, c.depth, c.heads, recompute)
        return TokenTransformer(sizes)

    def plan(self, request: Request) -> Plan:
        """One mechanism: the private finetuning of all weights."""
        c = cast(WaveletConfig, self.config)
        return Plan(c.mechanism("finetune", self.spec))

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Codebook, transformer and refiner from public images; see `Method.prepare`."""
        if public is None:
            raise ConfigError("the wavelet method needs public images; name a source with --public")
        c = cast(WaveletConfig, self.config)
        key = {
            "public": public.fingerprint,
            "levels": c.levels,
            "augmentation": c.augmentation,
            "version": self.version,
        }
        key |= {"patch": c.patch, "codes": c.codes}
        codebook = run.cache.get("wavelet-codebook", key, lambda g: self._learn_codebook(public, run, g))
        self._tokenizer.codebook = codebook["codebook"].to(run.device)
        key |= {k: getattr(c, k) for k in ("dim", "depth", "heads", "public_steps", "public_batch", "public_lr")}
        state = run.cache.get("wavelet-coarse", key, lambda g: self._pretrain(public, run, g))
        self._transformer = self._adopt(state).to(run.device)
        self._refiner.prepare(public, Retokenised(self._tokenizer, c.levels, c.flip, c.noise), run)

    def _learn_codebook(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> dict[str, Tensor]:
        batches = PublicBatches(public, self.config.augmentation, "cpu", generator)
        patches = to_patches(coarse(batches.collect(10_000), self.config.levels), self.config.patch).flatten(0, 1)
        return {"codebook": kmeans(patches, self.config.codes, generator)}

    def _pretrain(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> Mapping[str, Tensor]:
        c = cast(WaveletConfig, self.config)
        run = replace(run, generator=generator)
        model = self._new_transformer(max(1, public.spec.n_classes)).to(run.device)
        batches = PublicBatches(public, c.augmentation, run.device, generator)
        optimizer = torch.optim.AdamW(model.parameters(), c.public_lr, weight_decay=0.01)

        def loss() -> Tensor:
            images, labels = batches.draw(c.public_batch)
            return model.loss(self._tokens(images), self._conditions(labels, len(images))).mean()

        steps = PublicSteps(loss, optimizer, c.public_steps, run)
        train(steps, model, optimizer, run, "pretrain the coarse stage (public)")
        return model.state_dict()

    def _adopt(self, state: Mapping[str, Tensor]) -> TokenTransformer:
        """The public transformer, its public classes replaced by untrained private ones: all start at their mean."""
        model = self._new_transformer(max(1, self.spec.n_classes))
        mean = state["condition.weight"].mean(0, keepdim=True)
        model.load_state_dict({**state, "condition.weight": mean.expand(model.config.conditions, -1)})
        return model

    def _tokens(self, images: Tensor) -> Tensor:
        return self._tokenizer.encode(coarse(images, self.config.levels))

    @staticmethod
    def _conditions(labels: Tensor | None, count: int) -> Tensor:
        return torch.zeros(count, dtype=torch.long) if labels is None else labels

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Finetunes all weights on the private LL tokens; see `Method.fit`."""
        c = cast(WaveletConfig, self.config)
        tokens = private.derive(lambda batch: self._tokens(to_unit(_images(batch))))
        model = self._transformer.train()
        optimizer = torch.optim.Adam(model.parameters(), c.lr)

        def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            assert isinstance(model, TokenTransformer)
            assert batch.derived is not None
            return model.loss(batch.derived, self._conditions(batch.labels, len(batch)).to(batch.derived.device))

        steps = tokens.dp_sgd("finetune", model, loss, optimizer, run.generator, **c.stepper_options())
        train(
            steps,
            model,
            optimizer,
            run,
            "finetune the coarse stage (private)",
            ema=c.ema,
            note=lambda: f"ε {private.ledger.epsilon_spent():.2f}",
        )

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """LL tokens, decoded and refined; see `Method.sample`."""
        c = cast(WaveletConfig, self.config)
        labels = self._conditions(
            None if conditions.labels is None else torch.tensor(conditions.labels), conditions.count
        ).to(run.device)
        tokens = self._transformer.eval().sample(labels, run.generator, c.temperature, c.top_p)
        return to_uint8(self._refiner.refine(self._tokenizer.decode(tokens), self.spec.resolution, run))

    def state_dict(self) -> dict[str, Tensor]:
        """Codebook, transformer and refiner."""
        parts = {"transformer": self._transformer.state_dict(), "refiner": self._refiner.state_dict()}
        state = {f"{part}.{name}": value for part, tensors in parts.items() for name, value in tensors.items()}
        return state | {"codebook": self._tokenizer.codebook}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Method.load_state_dict`."""
        self._tokenizer.codebook = state["codebook"]
        self._transformer.load_state_dict(_part(state, "transformer"))
        self._refiner.load_state_dict(_part(state, "refiner"))

    def parameters(self) -> tuple[int, int]:
        """(transformer, transformer + codebook + refiner)."""
        private = sum(p.numel() for p in self._transformer.parameters())
        return private, sum(t.numel() for t in self.state_dict().values())


def _part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}


def _images(batch: Batch) -> Tensor:
    assert batch.images is not None
    return batch.images

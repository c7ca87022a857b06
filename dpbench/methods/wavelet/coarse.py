"""The coarse stage: a transformer over image tokens, pretrained on public images and finetuned by DP-SGD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Batch
from dpbench.methods.cores.class_embeddings import initial_class_embeddings
from dpbench.methods.cores.private_training import train_privately
from dpbench.methods.wavelet.settings import CoarseSettings
from dpbench.methods.wavelet.tokenizer import SpectralTokenizer
from dpbench.models.lora import add_lora, merge_lora, name_matcher
from dpbench.models.transformer import Sampling, TokenTransformer, TransformerConfig
from dpbench.privacy.private_data import PrivateData
from dpbench.training.augmentation import Augmentation
from dpbench.training.loop import PublicSteps, train
from dpbench.training.public import Draw, PublicBatches, unit_images

ENCODED = 500
"""Images encoded at once."""


class CoarseStage:
    """An autoregressive model of p(tokens | class) for the first scales of an image.

    Args:
        settings: sizes, training and sampling.
        tokenizer: encodes images to tokens and decodes tokens.
        n_classes: number of classes of the sensitive dataset; 0 without classes.
    """

    def __init__(self, settings: CoarseSettings, tokenizer: SpectralTokenizer, n_classes: int):
        self.settings = settings
        self.tokenizer = tokenizer
        self.n_classes = n_classes
        self.scales = tokenizer.depth
        position = torch.arange(tokenizer.length(self.scales))
        by_place = position.reshape(self.scales, -1).T.flatten()
        self._order = {"scale": position, "raster": by_place}[settings.order]
        self.transformer = self._new(n_classes)
        self.trained = _parameter_count(self.transformer)

    def _new(self, n_classes: int) -> TokenTransformer:
        """An untrained transformer. Its conditions are the classes (or one class for all images) and "none"."""
        s, vocabulary = self.settings, self.tokenizer.vocabulary
        conditions = max(1, n_classes) + 1
        sizes = TransformerConfig(
            vocabulary, len(self._order), conditions, s.dim, s.depth, s.heads, s.gradient_checkpointing
        )
        if self.scales == 1:
            return TokenTransformer(sizes)
        is_approximation = torch.arange(vocabulary) < len(self.tokenizer.approximation)
        at_approximation = self._order < self.tokenizer.scales.tokens
        return TokenTransformer(sizes, at_approximation[:, None] == is_approximation[None, :])

    def encode(self, images: Tensor) -> Tensor:
        """Float images [b, c, h, w] in [-1, 1] -> token sequences int64 [b, T] in the transformer's order."""
        return self.tokenizer.encode(images)[:, self._order.to(images.device)]

    def loss(
        self, model: TokenTransformer, tokens: Tensor, labels: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """Negative log-likelihood per token with random label dropout: [b]."""
        labels = self._conditions(labels, len(tokens))
        hidden = torch.rand(len(labels), generator=generator, device=generator.device) < self.settings.label_dropout
        none = model.config.conditions - 1
        return model.loss(tokens, torch.where(hidden.to(labels.device), none, labels).to(tokens.device))

    @staticmethod
    def _conditions(labels: Tensor | None, count: int) -> Tensor:
        return torch.zeros(count, dtype=torch.long) if labels is None else labels

    def pretrain(self, public: ImageDataset, augmentation: Augmentation, run: RunContext) -> dict[str, Tensor]:
        """Trains a new transformer on public images and their classes, and returns its weights."""
        s, model = self.settings, self._new(public.spec.n_classes).to(run.device)
        optimizer = torch.optim.AdamW(model.parameters(), s.public_lr, weight_decay=0.01, fused=True)
        if augmentation == "none" and len(public) < s.public_steps * s.public_batch:
            draw = self._encoded_once(public, run)
        else:
            draw = self._encoded(PublicBatches(public, augmentation, run.device, run.generator).draw)
        self._train_publicly(model, draw, optimizer, s.public_steps, run, "pretrain the coarse stage (public)")
        return dict(model.state_dict())

    def _encoded(self, draw: Draw) -> Draw:
        """Draws batches of token sequences in place of images."""

        def tokens(size: int) -> tuple[Tensor, Tensor | None]:
            images, labels = draw(size)
            return self.encode(images), labels

        return tokens

    def _encoded_once(self, public: ImageDataset, run: RunContext) -> Draw:
        """The same for images without augmentation, each of which is encoded only once, in advance."""
        parts = [public.batch(part.tolist()).to(run.device) for part in torch.arange(len(public)).split(ENCODED)]
        first, *others = (replace(part, images=None, derived=self.encode(unit_images(part))) for part in parts)
        records = first.map(lambda *tensors: torch.cat(tensors), *others)

        def tokens(size: int) -> tuple[Tensor, Tensor | None]:
            batch = records.select(torch.randint(len(records), (size,), generator=run.generator))
            assert batch.derived is not None
            return batch.derived, batch.labels

        return tokens

    def load_public_weights(self, state: Mapping[str, Tensor], generator: torch.Generator) -> None:
        """Loads pretrained weights; the private class embeddings are initialised at random."""
        public, none = state["condition.weight"][:-1], state["condition.weight"][-1:]
        spread = self.settings.scatter * state["token.weight"].std()
        classes = initial_class_embeddings(public, max(1, self.n_classes), spread, generator)
        self.transformer.load_state_dict({**state, "condition.weight": torch.cat([classes, none])})

    def warm_up(self, draw: Draw, steps: int, run: RunContext) -> None:
        """Trains on already released images; no privacy cost."""
        model = self.transformer.train()
        optimizer = torch.optim.Adam(model.parameters(), self.settings.public_lr, fused=True)
        title = "warm up on central images (post-processing)"
        self._train_publicly(model, self._encoded(draw), optimizer, steps, run, title)

    def _train_publicly(
        self,
        model: TokenTransformer,
        draw: Draw,
        optimizer: torch.optim.Optimizer,
        steps: int,
        run: RunContext,
        title: str,
    ) -> None:
        def loss() -> Tensor:
            tokens, labels = draw(self.settings.public_batch)
            return self.loss(model, tokens, labels, run.generator).mean()

        train(PublicSteps(loss, optimizer, steps, run), model, optimizer, run, title)

    def finetune(self, private: PrivateData, mechanism: str, run: RunContext) -> None:
        """Trains the weights selected by `trainable` by DP-SGD; `private` holds derived token sequences."""
        s, model = self.settings, self.transformer.train()
        TRAINABLE[s.trainable](model, s)
        model.condition.requires_grad_(True)
        trained = [p for p in model.parameters() if p.requires_grad]
        self.trained = sum(p.numel() for p in trained)
        optimizer = torch.optim.Adam(trained, s.lr, fused=True)

        def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            assert isinstance(model, TokenTransformer)
            assert batch.derived is not None
            return self.loss(model, batch.derived, batch.labels, generator)

        title = "finetune the coarse stage (private)"
        train_privately(private, mechanism, model, loss, optimizer, s, run, title)
        merge_lora(model)
        model.requires_grad_(True)

    def sample(self, labels: Tensor | None, count: int, run: RunContext) -> Tensor:
        """Samples the tokens of `count` images, coarsest scale first: int64 [count, T]."""
        s = self.settings
        conditions = self._conditions(labels, count).to(run.device)
        sampling = Sampling(s.temperature, s.top_p, s.guidance)
        return self.in_scale_order(self.transformer.to(run.device).eval().sample(conditions, run.generator, sampling))

    def in_scale_order(self, sequences: Tensor) -> Tensor:
        """Undoes `order`: sequences [b, T] -> tokens [b, T] in the tokenizer's order."""
        return sequences[:, self._order.argsort().to(sequences.device)]


def _train_all(model: TokenTransformer, settings: CoarseSettings) -> None:
    model.requires_grad_(True)


def _train_adapters(model: TokenTransformer, settings: CoarseSettings) -> None:
    add_lora(model, settings.rank, settings.alpha, settings.modules)


def _train_chosen(model: TokenTransformer, settings: CoarseSettings) -> None:
    wanted = name_matcher(settings.modules)
    layers = sorted({name.rpartition(".")[0] for name, _ in model.named_parameters()})
    chosen = {layer for layer in layers if wanted(layer)}
    if not chosen:
        raise ConfigError(f"modules={settings.modules} matches no layer; there are {', '.join(layers[:8])}, ...")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.rpartition(".")[0] in chosen)


TRAINABLE = {"all": _train_all, "lora": _train_adapters, "chosen": _train_chosen}
"""Functions that prepare a model for each value of `trainable`: set `requires_grad`, add adapters."""


def _parameter_count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())

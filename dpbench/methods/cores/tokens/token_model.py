"""A transformer over the tokens of an image: public pretraining, private finetuning by DP-SGD, sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.methods.cores.image_conditions import NONE
from dpbench.methods.cores.private_training import train_privately
from dpbench.methods.cores.tokens.token_conditions import TokenCondition, token_condition
from dpbench.methods.cores.tokens.token_settings import TokenModelSettings
from dpbench.models.image_range import unit_images
from dpbench.models.lora import add_lora, merge_lora, name_matcher
from dpbench.models.token_order import TokenOrder
from dpbench.models.transformer import Sampling, TokenTransformer, TransformerConfig
from dpbench.privacy.private_data import PrivateData
from dpbench.training.loop import train
from dpbench.training.public_batches import Draw, PublicBatches
from dpbench.training.public_steps import PublicSteps

ENCODED = 500
"""Images encoded at once."""


class TokenModel:
    """An autoregressive model of p(tokens | class), or of p(tokens | caption) on a dataset with captions.

    Args:
        settings: sizes, training and sampling.
        encode: public code: float images [b, c, h, w] in [-1, 1] -> token sequences int64 [b, T].
        vocabulary: number of token values V.
        order: order of the tokens in a sequence.
        spec: the sensitive dataset's public declaration.
        allowed: bool [T, V], the tokens allowed at each position; None allows all.

    Attributes:
        trained: number of weights that were trained privately.
    """

    def __init__(
        self,
        settings: TokenModelSettings,
        encode: Callable[[Tensor], Tensor],
        vocabulary: int,
        order: TokenOrder,
        spec: DatasetSpec,
        allowed: Tensor | None = None,
    ):
        self.settings = settings
        self.encode = encode
        self.vocabulary = vocabulary
        self.order = order
        self.condition: TokenCondition = token_condition(settings, spec)
        self.allowed = allowed
        self.transformer = self._new(spec)
        self.trained = sum(p.numel() for p in self.transformer.parameters())

    def _new(self, spec: DatasetSpec) -> TokenTransformer:
        """An untrained transformer for the conditions of a dataset."""
        s, conditions = self.settings, self.condition.values(spec)
        sizes = TransformerConfig(
            *(self.vocabulary, self.order.length, conditions, s.dim, s.depth, s.heads, s.gradient_checkpointing),
            text=self.condition.text,
        )
        return TokenTransformer(sizes, self.allowed, self.order)

    def loss(
        self, model: TokenTransformer, tokens: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """Negative log-likelihood per token, with random dropout of the condition: [b].

        Args:
            model: the transformer in training.
            tokens: int64 [b, T], or [b, copies, T], from which one copy per row is drawn at random.
            condition: a result of `TokenCondition.of`; of several captions, one is drawn at random.
            generator: source of all draws.
        """
        tokens = _one_copy(tokens, generator)
        one = self.condition.one(condition, len(tokens), generator)
        hidden = torch.rand(len(tokens), generator=generator, device=generator.device) < self.settings.label_dropout
        one = torch.where(hidden.to(one.device).reshape(-1, *[1] * (one.ndim - 1)), NONE, one).to(tokens.device)
        return model.loss(tokens, *self.condition.inputs(one, model.config.conditions - 1))

    @property
    def pretraining_key(self) -> Mapping[str, Any]:
        """Everything that the pretrained transformer depends on except tokens and public images; JSON-like."""
        return {**self.settings.pretraining_settings(), **self.condition.key}

    def pretrained(self, public: ImageDataset, run: RunContext) -> dict[str, Tensor]:
        """Weights of a new transformer trained on public images and their classes or captions."""
        s, model = self.settings, self._new(public.spec).to(run.device)
        optimizer = torch.optim.AdamW(model.parameters(), s.public_lr, weight_decay=0.01, fused=True)
        if s.augmentation == "none" and len(public) < s.public_steps * s.public_batch:
            draw = self._encoded_once(public, run)
        else:
            draw = self._encoded(PublicBatches(public, s.augmentation, run.device, run.generator).batch)
        self._train_publicly(model, draw, optimizer, s.public_steps, run, "pretrain the token model (public)")
        return dict(model.state_dict())

    def _encoded(self, draw: Callable[[int], Batch]) -> Draw:
        """Draws token sequences and their conditions, from batches of float images in [-1, 1]."""

        def tokens(size: int) -> tuple[Tensor, Tensor | None]:
            batch = draw(size)
            assert batch.images is not None
            return self.encode(batch.images), self.condition.of(batch)

        return tokens

    def _encoded_once(self, public: ImageDataset, run: RunContext) -> Draw:
        """Like `_encoded`, for images without augmentation, which are encoded once in advance."""
        parts = (public.batch(part.tolist()).to(run.device) for part in torch.arange(len(public)).split(ENCODED))
        first, *others = (
            replace(part, images=None, condition=self.condition.of(part), derived=self.encode(unit_images(part)))
            for part in parts
        )
        records = first.map(lambda *tensors: torch.cat(tensors), *others)

        def tokens(size: int) -> tuple[Tensor, Tensor | None]:
            batch = records.select(torch.randint(len(records), (size,), generator=run.generator))
            assert batch.derived is not None
            return batch.derived, batch.condition

        return tokens

    def load_public_weights(self, state: Mapping[str, Tensor], generator: torch.Generator) -> None:
        """Loads pretrained weights; see `TokenCondition.private_embeddings`."""
        public, none = state["condition.weight"][:-1], state["condition.weight"][-1:]
        spread = self.settings.scatter * state["token.weight"].std()
        own = self.condition.private_embeddings(public, spread, generator)
        self.transformer.load_state_dict({**state, "condition.weight": torch.cat([own, none])})

    def warm_up(self, draw: Draw, steps: int, run: RunContext) -> None:
        """Trains on already released images and their labels, without captions; no privacy cost."""
        model = self.transformer.to(run.device).train()
        optimizer = torch.optim.Adam(model.parameters(), self.settings.public_lr, fused=True)
        title = "warm up on central images (post-processing)"
        images = self._encoded(lambda size: Batch(*draw(size)))
        self._train_publicly(model, images, optimizer, steps, run, title)

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
            tokens, condition = draw(self.settings.public_batch)
            return self.loss(model, tokens, condition, run.generator).mean()

        train(PublicSteps(loss, optimizer, steps, run), model, optimizer, run, title)

    def finetune(self, private: PrivateData, mechanism: str, run: RunContext) -> None:
        """Trains the weights selected by `trainable` by DP-SGD.

        Args:
            private: holds derived token sequences; see `loss`.
            mechanism: name of the mechanism in the plan.
            run: progress, checkpoints and generator.
        """
        s, model = self.settings, self.transformer.to(run.device).train()
        TRAINABLE[s.trainable](model, s)
        for part in filter(None, (model.condition, model.text)):
            part.requires_grad_(True)
        trained = [p for p in model.parameters() if p.requires_grad]
        self.trained = sum(p.numel() for p in trained)
        optimizer = torch.optim.Adam(trained, s.lr, fused=True)

        def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            assert isinstance(model, TokenTransformer)
            assert batch.derived is not None
            return self.loss(model, batch.derived, self.condition.of(batch), generator)

        title = "finetune the token model (private)"
        train_privately(self.condition.ready(private), mechanism, model, loss, optimizer, s, run, title)
        merge_lora(model)
        model.requires_grad_(True)

    def sample(self, condition: Tensor | None, count: int, run: RunContext) -> Tensor:
        """Samples the token sequences of `count` images: int64 [count, T].

        Args:
            condition: a result of `TokenCondition.asked`, [count, ...].
            count: number of images.
            run: device and generator.
        """
        s, model = self.settings, self.transformer.to(run.device).eval()
        one = self.condition.one(condition, count, run.generator).to(run.device)
        inputs = self.condition.inputs(one, model.config.conditions - 1)
        sampling = Sampling(s.temperature, s.top_p, s.guidance)
        return model.sample(inputs.condition, run.generator, sampling, inputs.text)


def _one_copy(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """A random copy of each row of [b, copies, T]; [b, T] is returned unchanged."""
    if tokens.ndim == 2:
        return tokens
    b, copies, _ = tokens.shape
    chosen = torch.randint(copies, (b, 1, 1), generator=generator, device=generator.device)
    return tokens.take_along_dim(chosen.to(tokens.device), dim=1).squeeze(1)


def _train_all(model: TokenTransformer, settings: TokenModelSettings) -> None:
    model.requires_grad_(True)


def _train_adapters(model: TokenTransformer, settings: TokenModelSettings) -> None:
    add_lora(model, settings.rank, settings.alpha, settings.modules)


def _train_chosen(model: TokenTransformer, settings: TokenModelSettings) -> None:
    wanted = name_matcher(settings.modules)
    layers = sorted({name.rpartition(".")[0] for name, _ in model.named_parameters()})
    chosen = {layer for layer in layers if wanted(layer)}
    if not chosen:
        raise ConfigError(f"modules={settings.modules} matches no layer; there are {', '.join(layers[:8])}, ...")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.rpartition(".")[0] in chosen)


TRAINABLE = {"all": _train_all, "lora": _train_adapters, "chosen": _train_chosen}
"""Functions that prepare a model for each value of `trainable`: set `requires_grad`, add adapters."""

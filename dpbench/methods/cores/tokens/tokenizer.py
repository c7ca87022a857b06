"""Base of the tokenizers: images <-> discrete tokens, trained on public images."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.methods.cores.tokens.adversary import Discriminator
from dpbench.methods.cores.tokens.codebook import Codebook
from dpbench.methods.cores.tokens.token_settings import TokenizerTraining
from dpbench.training.loop import train
from dpbench.training.public_batches import PublicBatches
from dpbench.training.public_steps import PublicSteps

LOW_USAGE = 0.1
"""A codebook with less than this usage (see `Codebook.usage`) causes a warning."""


class Reconstruction(NamedTuple):
    """Output of a training pass: images [b, c, side, side] and the scalar commitment loss."""

    images: Tensor
    commitment: Tensor


class Tokenizer(nn.Module, ABC):
    """An autoencoder with vector-quantised codes: float images [b, c, h, w] in [-1, 1] <-> tokens int64 [b, T].

    Attributes:
        channels: image channels.
    """

    channels: int

    @property
    @abstractmethod
    def vocabulary(self) -> int:
        """Number of token values."""

    @property
    @abstractmethod
    def codebooks(self) -> Mapping[str, Codebook]:
        """Its codebooks by name."""

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Images -> tokens."""

    @abstractmethod
    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens -> images, nominally in [-1, 1]."""

    @abstractmethod
    def reconstruct(self, images: Tensor, generator: torch.Generator) -> Reconstruction:
        """Encodes and decodes with gradients, and updates the codebooks; for training.

        Args:
            images: float [b, c, h, w] in [-1, 1].
            generator: draws the vectors that replace dead codes (CPU).
        """

    def visible(self, images: Tensor) -> Tensor:
        """The part of images that tokens can represent; the target of `reconstruct`."""
        return images

    def usage(self) -> dict[str, float]:
        """Share of each codebook in use; see `Codebook.usage`."""
        return {name: book.usage() for name, book in self.codebooks.items()}

    def learn(self, settings: TokenizerTraining, batches: PublicBatches, run: RunContext) -> None:
        """Trains the tokenizer on public images.

        Warns:
            UserWarning: a codebook uses only a small share of its entries.
        """
        s, players = settings, nn.ModuleDict({"tokenizer": self})
        discriminator = Discriminator(self.channels).to(run.device) if s.perceptual or s.adversarial else None
        if discriminator is not None:
            players["discriminator"] = discriminator
        optimizer = torch.optim.AdamW(players.parameters(), s.tokenizer_lr, betas=(0.9, 0.99), weight_decay=1e-4)

        def loss() -> Tensor:
            images, _ = batches.draw(s.tokenizer_batch)
            wanted = self.visible(images)
            made, commitment = self.reconstruct(images, run.generator)
            total = F.mse_loss(made.float(), wanted) + s.commitment * commitment
            if discriminator is None:
                return total
            losses = discriminator.losses(wanted, made)
            return total + s.perceptual * losses.perceptual + s.adversarial * losses.adversarial + losses.discriminator

        def used() -> str:
            return "codes in use " + ", ".join(f"{share:.0%}" for share in self.usage().values())

        steps = PublicSteps(loss, optimizer, s.tokenizer_steps, run)
        train(steps, players, optimizer, run, "train the tokenizer (public)", note=used)
        for name, share in self.usage().items():
            if share < LOW_USAGE:
                warnings.warn(f"only {share:.0%} of the {name} codebook is in use; set fewer codes", stacklevel=2)

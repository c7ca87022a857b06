"""Training of the spectral tokenizer on public images."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.methods.wavelet.adversary import Discriminator
from dpbench.methods.wavelet.settings import TokenizerTraining
from dpbench.methods.wavelet.tokenizer import SpectralTokenizer
from dpbench.training.loop import PublicSteps, train
from dpbench.training.public import PublicBatches

MEASURED_IMAGES = 2_000
"""Number of images used to measure the coefficient scale of each band."""

LOW_USAGE = 0.1
"""A codebook with less than this usage (see `Codebook.usage`) causes a warning."""


def learn(tokenizer: SpectralTokenizer, settings: TokenizerTraining, batches: PublicBatches, run: RunContext) -> None:
    """Trains a tokenizer in place.

    Warns:
        UserWarning: a codebook uses only a small share of its entries.
    """
    s, generator = settings, run.generator
    tokenizer.measure(batches.collect(MEASURED_IMAGES))
    players = nn.ModuleDict({"tokenizer": tokenizer})
    discriminator = Discriminator(tokenizer.scales.channels).to(run.device) if s.perceptual or s.adversarial else None
    if discriminator is not None:
        players["discriminator"] = discriminator
    optimizer = torch.optim.AdamW(players.parameters(), s.tokenizer_lr, betas=(0.9, 0.99), weight_decay=1e-4)

    def loss() -> Tensor:
        images, _ = batches.draw(s.tokenizer_batch)
        wanted = tokenizer.visible(images)
        made, commitment = tokenizer.reconstruct(images, generator)
        total = F.mse_loss(made.float(), wanted) + s.commitment * commitment
        if discriminator is None:
            return total
        losses = discriminator.losses(wanted, made)
        return total + s.perceptual * losses.perceptual + s.adversarial * losses.adversarial + losses.discriminator

    def used() -> str:
        return "codes in use " + ", ".join(f"{share:.0%}" for share in tokenizer.usage().values())

    steps = PublicSteps(loss, optimizer, s.tokenizer_steps, run)
    train(steps, players, optimizer, run, "train the tokenizer (public)", note=used)
    for kind, share in tokenizer.usage().items():
        if share < LOW_USAGE:
            warnings.warn(f"only {share:.0%} of the {kind} codebook is in use; set fewer codes", stacklevel=2)

"""How the spectral tokenizer learns from public images."""

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

MEASURED = 2_000
"""Images from which the scales' spreads are measured."""

WASTED = 0.1
"""A codebook that is in use by less than this share (see `Codebook.usage`) is worth a warning."""


def learn(tokenizer: SpectralTokenizer, settings: TokenizerTraining, batches: PublicBatches, run: RunContext) -> None:
    """Trains a tokenizer in place.

    Warns:
        UserWarning: a codebook has collapsed to a small share of its entries.
    """
    s, generator = settings, run.generator
    tokenizer.measure(batches.collect(MEASURED))
    players = nn.ModuleDict({"tokenizer": tokenizer})
    discriminator = Discriminator(tokenizer.scales.channels).to(run.device) if s.perceptual or s.adversarial else None
    if discriminator is not None:
        players["discriminator"] = discriminator
    optimizer = torch.optim.AdamW(players.parameters(), s.tokenizer_lr, betas=(0.9, 0.99), weight_decay=1e-4)

    def loss() -> Tensor:
        images, _ = batches.draw(s.tokenizer_batch)
        made, commitment = tokenizer.reconstruct(images, generator)
        total = F.mse_loss(made.float(), images) + s.commitment * commitment
        if discriminator is None:
            return total
        judged = discriminator.judge(images, made)
        return total + s.perceptual * judged.perceptual + s.adversarial * judged.adversarial + judged.discriminator

    def used() -> str:
        return "codes in use " + ", ".join(f"{share:.0%}" for share in tokenizer.usage().values())

    steps = PublicSteps(loss, optimizer, s.tokenizer_steps, run)
    train(steps, players, optimizer, run, "train the tokenizer (public)", note=used)
    for kind, share in tokenizer.usage().items():
        if share < WASTED:
            warnings.warn(f"only {share:.0%} of the {kind} codebook is in use; a smaller one would do", stacklevel=2)

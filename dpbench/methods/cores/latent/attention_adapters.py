"""Low-rank adapters of attention, as trained by DP-LoRA."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dpbench.models.lora import LowRank, add_lora


def add_attention_adapters(
    model: nn.Module, layers: Sequence[str], rank: int, alpha: float, generator: torch.Generator
) -> None:
    """Freezes the model except for new adapters of some layers and the biases of these layers.

    Args:
        model: a model without adapters.
        layers: names of the layers.
        rank: rank of the adapters.
        alpha: scale of the adapters.
        generator: draws the initial adapters from N(0, 1 / rank²) (CPU).
    """
    add_lora(model, rank, alpha, {*layers}.__contains__)
    for adapter in model.modules():
        if isinstance(adapter, LowRank):
            start = torch.randn(adapter.down.weight.shape, generator=generator) / rank
            adapter.down.weight.data.copy_(start)
            if adapter.base.bias is not None:
                adapter.base.bias.requires_grad_(True)

"""Low-rank adapters (LoRA, arXiv 2106.09685): finetune a frozen model through small additions to some layers.

The adapters are ordinary Linear and Conv2d layers, so per-example gradient engines support them, and their gradients
are much smaller than those of the full model.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dpbench.core.errors import ConfigError

ATTENTION = r"\bto_(q|k|v|out\.0)$"
"""The projections of diffusers' attention layers."""


class LowRank(nn.Module):
    """y = base(x) + (alpha / rank) · up(down(x)). `up` starts at zero, so the initial output equals the base layer's.

    Args:
        base: a Linear layer, or a Conv2d layer with one group.
        rank: channels between `down` and `up`.
        alpha: scale of the low-rank term.
    """

    def __init__(self, base: nn.Linear | nn.Conv2d, rank: int, alpha: float):
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        self.down: nn.Linear | nn.Conv2d
        self.up: nn.Linear | nn.Conv2d
        if isinstance(base, nn.Linear):
            self.down = nn.Linear(base.in_features, rank, bias=False)
            self.up = nn.Linear(rank, base.out_features, bias=False)
        else:
            self.down = nn.Conv2d(
                base.in_channels, rank, base.kernel_size, base.stride, base.padding, base.dilation,  # type: ignore[arg-type]
                bias=False, padding_mode=base.padding_mode,
            )  # fmt: skip
            self.up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        self.to(base.weight)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The same shapes as the base layer's `forward`."""
        return self.base(x) + self.scale * self.up(self.down(x))

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """The base layer with the low-rank term added to its weight."""
        product = self.up.weight.flatten(1) @ self.down.weight.flatten(1)
        self.base.weight += self.scale * product.reshape(self.base.weight.shape)
        return self.base


def add_lora(model: nn.Module, rank: int, alpha: float, modules: str | Callable[[str], bool]) -> None:
    """Freezes `model` and adds trainable adapters to some of its Linear and Conv2d layers, in place.

    Args:
        model: a model without adapters.
        rank: rank of the adapters.
        alpha: scale of the adapters; alpha = rank adds the plain product.
        modules: selects layers by their names in `model.named_modules()`: a regular expression searched in the name
            (such as `ATTENTION`), or a predicate.

    Raises:
        ConfigError: `rank` is not positive, the model already has adapters, or `modules` selects no layer.
    """
    if rank < 1:
        raise ConfigError(f"the rank of adapters must be at least 1, not {rank}")
    if any(isinstance(layer, LowRank) for layer in model.modules()):
        raise ConfigError("the model already has adapters; merge them first")
    wanted = name_matcher(modules) if isinstance(modules, str) else modules
    # A layer registered under two names gets one adapter, registered under both.
    layers = {name: m for name, m in model.named_modules(remove_duplicate=False) if name and _can_adapt(m)}
    chosen = {name: layer for name, layer in layers.items() if wanted(name)}
    if not chosen:
        known = ", ".join(layers) if len(layers) <= 8 else ", ".join([*list(layers)[:8], "..."])
        raise ConfigError(f"{modules!r} matches no layer that can be adapted; there are {known or 'none'}")
    model.requires_grad_(False)
    adapters = {layer: LowRank(layer, rank, alpha) for layer in dict.fromkeys(chosen.values())}
    for name, layer in chosen.items():
        model.set_submodule(name, adapters[layer])


def merge_lora(model: nn.Module) -> None:
    """Merges all adapters into their base layers, in place, which restores the model's structure before `add_lora`.

    All parameters stay frozen.
    """
    adapted = {name: m for name, m in model.named_modules(remove_duplicate=False) if isinstance(m, LowRank)}
    merged = {adapter: adapter.merged() for adapter in dict.fromkeys(adapted.values())}
    for name, adapter in adapted.items():
        model.set_submodule(name, merged[adapter])


def _can_adapt(layer: nn.Module) -> bool:
    # Exact types only: a subclass may compute something else, or its owner may use the weight directly.
    return type(layer) is nn.Linear or (type(layer) is nn.Conv2d and layer.groups == 1)


def name_matcher(pattern: str) -> Callable[[str], bool]:
    """A predicate that searches a regular expression in a name.

    Raises:
        ConfigError: `pattern` is not a valid regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"'{pattern}' is not a regular expression: {error}") from error
    return lambda name: compiled.search(name) is not None

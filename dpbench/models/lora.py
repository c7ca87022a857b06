"""Low-rank adapters (LoRA, arXiv 2106.09685): a frozen model is finetuned through small additions to some layers.

The adapters are ordinary Linear and Conv2d layers, so per-example gradient engines see them like any other layer, and
their gradients are a small fraction of the model's.
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
    """y = base(x) + (alpha / rank) · up(down(x)); `up` starts at zero, so that nothing changes at first.

    Args:
        base: a Linear layer, or a Conv2d layer of one group.
        rank: channels between `down` and `up`.
        alpha: strength of the addition.
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
        """As the base layer's."""
        return self.base(x) + self.scale * self.up(self.down(x))

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """The base layer with the addition in its weight."""
        product = self.up.weight.flatten(1) @ self.down.weight.flatten(1)
        self.base.weight += self.scale * product.reshape(self.base.weight.shape)
        return self.base


def add_lora(model: nn.Module, rank: int, alpha: float, modules: str | Callable[[str], bool]) -> None:
    """Freezes `model` and gives some of its Linear and Conv2d layers trainable adapters, in place.

    Args:
        model: has no adapters yet.
        rank: of the adapters.
        alpha: strength of the adapters; alpha = rank adds the plain product.
        modules: which layers, by their names in `model.named_modules()`: a regular expression to be found in the name
            (such as `ATTENTION`), or a predicate.

    Raises:
        ConfigError: `rank` is not positive, the model has adapters already, or `modules` chooses no layer.
    """
    if rank < 1:
        raise ConfigError(f"the rank of adapters must be at least 1, not {rank}")
    if any(isinstance(layer, LowRank) for layer in model.modules()):
        raise ConfigError("the model has adapters already; merge them first")
    wanted = finder(modules) if isinstance(modules, str) else modules
    # A layer that stands under two names gets one adapter, which stands under both.
    layers = {name: m for name, m in model.named_modules(remove_duplicate=False) if name and _can_adapt(m)}
    chosen = {name: layer for name, layer in layers.items() if wanted(name)}
    if not chosen:
        known = ", ".join(layers) if len(layers) <= 8 else ", ".join([*list(layers)[:8], "..."])
        raise ConfigError(f"no layer to adapt is chosen by {modules!r}; there are {known or 'none'}")
    model.requires_grad_(False)
    adapters = {layer: LowRank(layer, rank, alpha) for layer in dict.fromkeys(chosen.values())}
    for name, layer in chosen.items():
        model.set_submodule(name, adapters[layer])


def merge(model: nn.Module) -> None:
    """Folds all adapters into the layers that they belong to, in place: the model `add_lora` was given, other weights.

    Everything stays frozen.
    """
    adapted = {name: m for name, m in model.named_modules(remove_duplicate=False) if isinstance(m, LowRank)}
    merged = {adapter: adapter.merged() for adapter in dict.fromkeys(adapted.values())}
    for name, adapter in adapted.items():
        model.set_submodule(name, merged[adapter])


def _can_adapt(layer: nn.Module) -> bool:
    # Exact types: a subclass may compute something else, or be used by its weight alone.
    return type(layer) is nn.Linear or (type(layer) is nn.Conv2d and layer.groups == 1)


def finder(pattern: str) -> Callable[[str], bool]:
    """Whether a regular expression is found in a name.

    Raises:
        ConfigError: it is no regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"'{pattern}' is no regular expression: {error}") from error
    return lambda name: compiled.search(name) is not None

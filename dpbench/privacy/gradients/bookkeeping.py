"""The book-keeping engine: clipped sums of per-example gradients at nearly the cost of a plain backward pass.

One forward pass keeps each trained layer's input. One backward pass computes the gradient of its output, and of no
parameter. Per-record norms and then the weighted sum follow layer by layer (arXiv 2210.00038).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.clipping import clip_weights
from dpbench.privacy.gradients.engine import GradientEngine, Loss
from dpbench.privacy.gradients.layer_gradients import LAYERS
from dpbench.privacy.gradients.terms import Term, add
from dpbench.privacy.precision import full_precision


class BookKeepingEngine(GradientEngine):
    """Per-example clipping without per-example gradients of large layers; see `GradientEngine`.

    Raises:
        PrivacyError: a trained parameter belongs to a layer type without a rule.
    """

    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__(model, loss)
        self._trained: dict[nn.Module, dict[str, nn.Parameter]] = {}
        for path, layer in model.named_modules():
            own = {name: p for name, p in layer.named_parameters(recurse=False) if p.requires_grad}
            if own and type(layer) not in LAYERS:
                raise PrivacyError(
                    f"no per-example gradients for layer '{path}' ({type(layer).__name__}); engine=vmap takes any layer"
                )
            if own:
                self._trained[layer] = own
        self._book: _Book | None = None
        self._handles = [layer.register_forward_hook(self._tap) for layer in self._trained]

    def _tap(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if self._book is None or not torch.is_grad_enabled():
            return None
        if not inputs:
            raise PrivacyError(f"{type(layer).__name__} layers with trained parameters need a positional argument")
        self._book.used = True
        return _Tap.apply(output, inputs[0].detach(), self._book.anchor, self._book, layer)

    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """See `GradientEngine.clipped_sum`."""
        terms = self._differentiate(batch, len(real), views, generator)
        with full_precision(real.device):
            squares = torch.zeros(len(real), dtype=torch.float64, device=real.device)
            for term in terms.values():
                squares += term.squared_norms()
            weights, kept = clip_weights(squares, real, clip)
            if not kept.all():
                terms = {parameter: term.select(kept) for parameter, term in terms.items()}
            return [
                terms[p].weighted_sum(weights) if p in terms else torch.zeros_like(p, dtype=torch.float32)
                for p in self.parameters
            ]

    def _differentiate(
        self, batch: Batch, records: int, views: int, generator: torch.Generator
    ) -> dict[nn.Parameter, Term]:
        """The records' gradients, averaged over views, from one forward and one backward pass."""
        book = self._book = _Book(self._trained, records, records * views, next(iter(self.parameters)).device)
        for parameter in self.parameters:  # so that autograd computes no gradient of a parameter
            parameter.requires_grad_(False)
        try:
            losses = self.loss(self.model, batch, generator)
            self.check_shape(losses, records * views)
            if not book.used:
                raise PrivacyError("the loss uses no trained layer")
            torch.autograd.grad(losses.sum() / views, book.anchor, allow_unused=True)
        finally:
            self._book = None
            for parameter in self.parameters:
                parameter.requires_grad_(True)
        return book.terms

    def stored_bytes(self, batch: Batch, views: int, generator: torch.Generator) -> int:
        """See `GradientEngine.stored_bytes`: gradients or patches that layers hold until the sum."""
        return sum(t.stored_bytes() for t in self._differentiate(batch, len(batch) // views, views, generator).values())

    def close(self) -> None:
        """Removes the hooks."""
        for handle in self._handles:
            handle.remove()


class _Book:
    """Records the terms of every parameter that one backward pass reaches.

    `anchor` is the scalar with respect to which the backward pass differentiates. Every tap depends on it, so the pass
    visits all taps, and nothing else.
    """

    def __init__(self, trained: dict[nn.Module, dict[str, nn.Parameter]], records: int, rows: int, device: Any):
        self._trained = trained
        self._records = records
        self._rows = rows
        self.anchor = torch.zeros((), device=device, requires_grad=True)
        self.used = False
        self.terms: dict[nn.Parameter, Term] = {}

    def write(self, layer: nn.Module, x: Tensor, g: Tensor) -> None:
        if len(x) % self._rows or len(g) != len(x):
            raise PrivacyError(
                f"a {type(layer).__name__} layer saw {len(x)} rows where the loss has {self._rows}; "
                "give every layer the whole batch in its first dimension"
            )
        parameters = self._trained[layer]
        with full_precision(g.device):
            x, g = x.float() if x.is_floating_point() else x, g.float()
            terms = LAYERS[type(layer)].terms(layer, set(parameters), x, g, self._records)
            for name, term in terms.items():
                parameter = parameters[name]
                known = self.terms.get(parameter)
                self.terms[parameter] = term if known is None else add(known, term)


class _Tap(torch.autograd.Function):
    """The identity on a layer's output; its backward pass records the layer's input and output gradient.

    The input is saved as autograd saves activations: freed during the backward pass, recomputed under gradient
    checkpointing.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, x: Tensor, anchor: Tensor, book: _Book, layer: nn.Module) -> Tensor:
        ctx.save_for_backward(x)
        ctx.book, ctx.layer = book, layer
        return output.detach()  # the same memory, but no view to autograd: an in-place activation may follow

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x,), (g,) = ctx.saved_tensors, gradients
        ctx.book.write(ctx.layer, x, g)
        return g, None, None, None, None

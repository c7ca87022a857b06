"""The book-keeping engine: clipped sums of per-example gradients at nearly the cost of a plain backward pass.

One forward pass keeps each trained layer's input. One backward pass computes the gradient of each layer's output, but
of no parameter. Per-record norms and then the weighted sum follow layer by layer (arXiv 2210.00038). Modules without a
rule run row by row; see `row_by_row`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.models.precision import full_precision
from dpbench.privacy.clipping import clip_weights
from dpbench.privacy.gradients.engine import GradientEngine, Loss
from dpbench.privacy.gradients.layer_gradients import LAYERS, has_rule
from dpbench.privacy.gradients.row_by_row import RowByRow, users
from dpbench.privacy.gradients.terms import Dense, Term, add

SMALL = 512
"""Size of parameters up to which dense gradients are concatenated rather than measured and summed one by one."""


class BookKeepingEngine(GradientEngine):
    """Per-example clipping without per-example gradients of large layers; see `GradientEngine`.

    While the engine is in use, trained layers have a hook, and modules without a rule have another `forward`.
    """

    def __init__(self, model: nn.Module, loss: Loss, gamma: float | None = None):
        super().__init__(model, loss, gamma)
        self._trained = users(model)
        self._book: _Book | None = None
        without_rule = {module: own for module, own in self._trained.items() if not has_rule(module, own)}
        layers = [module for module in self._trained if module not in without_rule]
        self._handles = [layer.register_forward_hook(self._tap) for layer in layers]
        self._forwards: dict[nn.Module, tuple[Any, Any]] = {}  # (while in use, before)
        for module in without_rule:
            call = partial(self._call, module.forward, RowByRow(module, without_rule))
            self._forwards[module] = call, vars(module).get("forward")
            module.forward = call

    def _tap(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if self._book is None or not torch.is_grad_enabled():
            return None
        if not inputs:
            raise PrivacyError(f"{type(layer).__name__} layers with trained parameters need a positional argument")
        self._book.used = True
        tap = _TapUnderVmap if torch._C._are_functorch_transforms_active() else _Tap
        tapped: Tensor = tap.apply(output, inputs[0].detach(), self._book.anchor, self._book, layer)
        return tapped

    def _call(self, plain: Callable[..., Any], call: RowByRow, *args: Any, **kwargs: Any) -> Any:
        """The forward of a module without a rule; a module inside another one runs in the other's rows."""
        book = self._book
        if book is None or book.row_by_row or not torch.is_grad_enabled():
            return plain(*args, **kwargs)
        book.used = book.row_by_row = True
        try:
            return call(partial(_Copies.apply, book.anchor, book), args, kwargs)
        finally:
            book.row_by_row = False

    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """See `GradientEngine.clipped_sum`."""
        terms = self._differentiate(batch, len(real), views, generator)
        with full_precision(real.device):
            groups = _grouped(terms)
            squares = torch.zeros(len(real), dtype=torch.float64, device=real.device)
            for _, term in groups:
                squares += term.squared_norms()
            weights, kept = clip_weights(squares, real, clip, self.gamma)
            finite, sums = bool(kept.all()), dict[nn.Parameter, Tensor]()
            for parameters, term in groups:
                total = (term if finite else term.select(kept)).weighted_sum(weights)
                sums.update(zip(parameters, total.flatten().split([p.numel() for p in parameters]), strict=True))
            return [
                sums[p].reshape(p.shape) if p in sums else torch.zeros_like(p, dtype=torch.float32)
                for p in self.parameters
            ]

    def squared_norms(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Squared norm of each record's gradient of each trained parameter: fp64 [records, parameters].

        They are not clipped and not private: for contributions to a sum, which the vault clips.

        Args:
            batch: one row per record.
            generator: randomness of the loss.
        """
        terms = self._differentiate(batch, len(batch), 1, generator)
        with full_precision(self.parameters[0].device):
            zero = torch.zeros(len(batch), dtype=torch.float64, device=self.parameters[0].device)
            return torch.stack(
                [terms[p].dense().squared_norms().double() if p in terms else zero for p in self.parameters], 1
            )

    def _differentiate(
        self, batch: Batch, records: int, views: int, generator: torch.Generator
    ) -> dict[nn.Parameter, Term]:
        """The records' gradients, averaged over views, from one forward and one backward pass."""
        book = self._book = _Book(self._trained, records, records * views, next(iter(self.parameters)).device)
        for parameter in self.parameters:  # so that autograd computes no gradient of a parameter
            parameter.requires_grad_(False)
        fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # attention in eval mode would not call its layers
        try:
            losses = self.loss(self.model, batch, generator)
            self.check_shape(losses, records * views)
            if not book.used:
                raise PrivacyError("the loss uses no trained layer")
            torch.autograd.grad(losses.sum() / views, book.anchor, allow_unused=True)
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
            self._book = None
            for parameter in self.parameters:
                parameter.requires_grad_(True)
        return book.terms

    def stored_bytes(self, batch: Batch, views: int, generator: torch.Generator) -> int:
        """See `GradientEngine.stored_bytes`: gradients or patches that layers hold until the sum."""
        return sum(t.stored_bytes() for t in self._differentiate(batch, len(batch) // views, views, generator).values())

    def close(self) -> None:
        """Removes the hooks, and restores the modules' own forward."""
        for handle in self._handles:
            handle.remove()
        for module, (call, before) in self._forwards.items():
            if vars(module).get("forward") is call:  # not that of a later engine on the same model
                del module.forward
                vars(module).update({"forward": before} if before else {})


def _grouped(terms: dict[nn.Parameter, Term]) -> list[tuple[list[nn.Parameter], Term]]:
    """(parameters, their term): dense gradients of up to `SMALL` numbers share one term, the others have their own.

    Each term costs the time of about twenty small operations.
    """
    small = {p: term.values for p, term in terms.items() if isinstance(term, Dense) and p.numel() <= SMALL}
    groups: list[tuple[list[nn.Parameter], Term]] = [([p], term) for p, term in terms.items() if p not in small]
    if small:
        groups.append(([*small], Dense(torch.cat([values.flatten(1) for values in small.values()], dim=1))))
    return groups


class _Book:
    """Records the terms of every parameter that one backward pass reaches.

    `anchor` is the scalar with respect to which the backward pass differentiates. Every tap depends on it, so the pass
    visits all taps, and nothing else. `row_by_row` is True within a module without a rule.
    """

    def __init__(self, trained: dict[nn.Module, dict[str, nn.Parameter]], records: int, rows: int, device: Any):
        self._trained = trained
        self._records = records
        self._rows = rows
        self.anchor = torch.zeros((), device=device, requires_grad=True)
        self.used = False
        self.row_by_row = False
        self.terms: dict[nn.Parameter, Term] = {}

    def write(self, layer: nn.Module, x: Tensor, g: Tensor) -> None:
        self._require_rows(f"{type(layer).__name__} layer", len(x), len(g))
        parameters = self._trained[layer]
        with full_precision(g.device):
            x, g = x.float() if x.is_floating_point() else x, g.float()
            terms = LAYERS[type(layer)].terms(layer, set(parameters), x, g, self._records)
            for name, term in terms.items():
                self._add(parameters[name], term)

    def _require_rows(self, what: str, *counts: int) -> None:
        if counts[0] % self._rows or len({*counts}) > 1:
            raise PrivacyError(
                f"a {what} saw {counts[0]} rows where the loss has {self._rows}; "
                "give every layer the whole batch in its first dimension"
            )

    def write_copies(self, parameter: nn.Parameter, g: Tensor) -> None:
        """Records the gradients of a parameter's copies, one for each row: [rows, *parameter shape]."""
        self._require_rows("module with parameters of its own", len(g))
        self._add(parameter, Dense(g.float().reshape(self._records, -1, *parameter.shape).sum(1)))

    def _add(self, parameter: nn.Parameter, term: Term) -> None:
        known = self.terms.get(parameter)
        self.terms[parameter] = term if known is None else add(known, term)


class _Tap(torch.autograd.Function):
    """The identity on a layer's output; its backward pass records the layer's input and output gradient.

    The input is saved as autograd saves activations: freed during the backward pass, recomputed under gradient
    checkpointing.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, x: Tensor, anchor: Tensor, book: _Book, layer: nn.Module) -> Tensor:
        ctx.book, ctx.layer = book, layer
        ctx.save_for_backward(x)
        return output.detach()  # same memory, but not a view to autograd: an in-place activation may follow

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x,), (g,) = ctx.saved_tensors, gradients
        ctx.book.write(ctx.layer, x, g)
        return g, None, None, None, None


class _TapUnderVmap(_Tap):
    """The tap in a module that runs row by row: the first dimension is the rows, then what the layer sees of each row.

    A class of its own, because in every call torch looks up the signature of a function that `vmap` may meet.
    """

    @staticmethod
    def forward(  # type: ignore[override]  # without ctx: torch's other signature
        output: Tensor, x: Tensor, anchor: Tensor, book: _Book, layer: nn.Module
    ) -> Tensor:
        return output.detach()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, x, _, ctx.book, ctx.layer = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int, ...], output: Tensor, x: Tensor, anchor: Tensor, book: _Book, layer: Any
    ) -> tuple[Tensor, int]:
        if not book.row_by_row:
            raise PrivacyError(f"a {type(layer).__name__} layer runs under vmap; try engine=vmap")
        output, x = output.movedim(dims[0], 0), x.movedim(dims[1], 0)
        tapped: Tensor = _Tap.apply(output.flatten(0, 1), x.flatten(0, 1), anchor, book, layer)
        return tapped.unflatten(0, output.shape[:2]), 0


class _Copies(torch.autograd.Function):
    """A copy of a parameter for each row; its backward pass records their gradients."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, book: _Book, parameter: nn.Parameter, rows: int) -> Tensor:
        ctx.book, ctx.parameter = book, parameter
        return parameter.detach().expand(rows, *parameter.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, ...]:
        ctx.book.write_copies(ctx.parameter, *gradients)
        return None, None, None, None

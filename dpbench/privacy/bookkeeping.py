"""The book-keeping engine: clipped sums of per-example gradients for nearly the price of a plain backward pass.

One forward pass stores each layer's input, one backward pass gives the gradients of the layers' outputs (and of no
parameter); per-example norms and then the weighted sum follow layer by layer (arXiv 2210.00038).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.gradients import GradientEngine, Loss
from dpbench.privacy.layer_gradients import LAYERS


class BookKeepingEngine(GradientEngine):
    """Per-example clipping without per-example gradients; see `GradientEngine`.

    Raises:
        PrivacyError: a trained parameter belongs to a layer type without a rule, or to two layers.
    """

    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__(model, loss)
        self._layers: dict[nn.Module, dict[str, nn.Parameter]] = {}
        owners: set[nn.Parameter] = set()
        for path, layer in model.named_modules():
            own = {name: p for name, p in layer.named_parameters(recurse=False) if p.requires_grad}
            if own and type(layer) not in LAYERS:
                raise PrivacyError(f"no per-example gradients for layer '{path}' ({type(layer).__name__})")
            if own:
                self._layers[layer] = own
            if shared := owners.intersection(own.values()):
                raise PrivacyError(f"layer '{path}' shares {len(shared)} parameter(s) with another layer")
            owners.update(own.values())
        self._uses: list[tuple[nn.Module, Tensor, Tensor]] = []
        self._recording = False
        self._handles = [layer.register_forward_hook(self._record) for layer in self._layers]

    def _record(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if not self._recording or not torch.is_grad_enabled():
            return None
        if not inputs:
            raise PrivacyError(f"{type(layer).__name__} layers with trained parameters need a positional argument")
        if not output.requires_grad:  # nothing below it learns either: the graph starts here
            output = output.detach().requires_grad_()
        self._uses.append((layer, inputs[0].detach(), output))
        return output

    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """See `GradientEngine.clipped_sum`."""
        uses = self._backward(batch, len(real) * views, generator)
        with torch.autocast(real.device.type, enabled=False):  # norms and sums in fp32, whatever the loss ran in
            return self._clip_and_sum(uses, real, views, clip)

    def _clip_and_sum(
        self, uses: dict[nn.Module, list[tuple[Tensor, Tensor]]], real: Tensor, views: int, clip: float
    ) -> list[Tensor]:
        layers = {layer: self._by_record(layer, uses[layer], len(real), views) for layer in uses}
        squares = torch.zeros(len(real), device=real.device)
        for layer, (x, g) in layers.items():
            squares += LAYERS[type(layer)].squared_norms(layer, set(self._layers[layer]), x, g)
        norms = squares.clamp_min(0).sqrt()
        finite = norms.isfinite()
        weights = torch.where(real & finite, (clip / norms.clamp_min(1e-12)).clamp(max=1), 0)
        sums: dict[nn.Parameter, Tensor] = {}
        for layer, (x, g) in layers.items():
            if not finite.all():
                x, g = _select(x, finite), _select(g, finite)
            g = g * weights.reshape(-1, *[1] * (g.ndim - 1))
            of_layer = LAYERS[type(layer)].weighted_sums(layer, set(self._layers[layer]), x, g)
            sums |= {self._layers[layer][name]: value for name, value in of_layer.items()}
        return [sums[p] if p in sums else torch.zeros_like(p, dtype=torch.float32) for p in self.parameters]

    def _backward(
        self, batch: Batch, rows: int, generator: torch.Generator
    ) -> dict[nn.Module, list[tuple[Tensor, Tensor]]]:
        """(input, output gradient) of every use of every trained layer, in one backward pass."""
        for parameter in self.parameters:  # so that autograd computes no gradient of a parameter
            parameter.requires_grad_(False)
        self._recording = True
        try:
            losses = self.loss(self.model, batch, generator)
            recorded, self._uses = self._uses, []
        finally:
            self._recording, self._uses = False, []
            for parameter in self.parameters:
                parameter.requires_grad_(True)
        if losses.shape != (rows,):
            raise PrivacyError(f"the loss must have shape ({rows},), not {tuple(losses.shape)}")
        if not recorded:
            raise PrivacyError("the loss uses no trained layer")
        gradients = torch.autograd.grad(losses.sum(), [output for _, _, output in recorded], allow_unused=True)
        uses: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}
        for (layer, x, _), g in zip(recorded, gradients, strict=True):
            if g is not None:
                uses.setdefault(layer, []).append((x, g))
        return uses

    @staticmethod
    def _by_record(
        layer: nn.Module, uses: list[tuple[Tensor, Tensor]], records: int, views: int
    ) -> tuple[Tensor, Tensor]:
        """All uses and views of a record side by side: x [b, t, ...], g [b, t, ...], g averaged over the views."""
        uses = [(x.float() if x.is_floating_point() else x, g.float()) for x, g in uses]
        xs, gs = zip(*(LAYERS[type(layer)].rows(layer, x, g) for x, g in uses), strict=True)
        if any(len(x) % (records * views) for x in xs):
            raise PrivacyError(
                f"a {type(layer).__name__} layer saw {len(xs[0])} rows where the loss has {records * views}; "
                "give every layer the whole batch in its first dimension"
            )
        x, g = torch.cat(xs, dim=1), torch.cat(gs, dim=1) / views
        return x.reshape(records, -1, *x.shape[2:]), g.reshape(records, -1, *g.shape[2:])

    def close(self) -> None:
        """Removes the hooks."""
        for handle in self._handles:
            handle.remove()


def _select(values: Tensor, finite: Tensor) -> Tensor:
    return torch.where(finite.reshape(-1, *[1] * (values.ndim - 1)), values, 0)

"""Wide residual networks (Zagoruyko, Komodakis: arXiv 1605.07146)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from dpbench.metrics.classifiers.base import Classifier, Norm, conv, initialise, stages


class WideResNet(Classifier):
    """WRN-depth-widen: three stages of (depth - 4) / 6 pre-activation blocks of 16, 32 and 64 times `widen` channels.

    Args:
        channels: 1 or 3.
        n_classes: number of logits.
        depth: 6 n + 4.
        widen: the paper's k.
        norm: builds a normalisation layer.
        dropout: dropout probability between the convolutions of a block.
    """

    def __init__(self, channels: int, n_classes: int, depth: int, widen: int, norm: Norm, dropout: float = 0.0):
        super().__init__()
        widths = (16, 16 * widen, 32 * widen, 64 * widen)
        self.stem = conv(channels, widths[0])
        self.blocks = stages(partial(_Block, norm, dropout), widths, (depth - 4) // 6)
        self.last = nn.Sequential(norm(widths[-1]), nn.ReLU())
        self.head = nn.Linear(widths[-1], n_classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> [b, 64 · widen]."""
        return self.last(self.blocks(self.stem(x))).mean((2, 3))


class _Block(nn.Module):
    """x + conv(dropout(relu(norm(conv(relu(norm(x))))))); a changed width has the shortcut conv(relu(norm(x)))."""

    def __init__(self, norm: Norm, dropout: float, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.activation = nn.Sequential(norm(inputs), nn.ReLU())
        self.residual = nn.Sequential(
            conv(inputs, outputs, 3, stride), norm(outputs), nn.ReLU(), nn.Dropout(dropout), conv(outputs, outputs)
        )
        self.shortcut = None if inputs == outputs else conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activation(x)
        return self.residual(activated) + (x if self.shortcut is None else self.shortcut(activated))

"""The first embeddings of private classes in a model that was pretrained on public ones.

A public class is never taken for a private one. Private classes start untrained, at random around the mean of the
public embeddings: classes that start alike are slow to part under DP-SGD.
"""

from __future__ import annotations

import torch
from torch import Tensor


def untrained_classes(public: Tensor, classes: int, spread: float | Tensor, generator: torch.Generator) -> Tensor:
    """Embeddings [classes, d] of standard deviation `spread` around the mean of the public ones.

    Args:
        public: [k, d] embeddings of the public classes, or of what stands for them.
        classes: number of private classes.
        spread: standard deviation per component; 0 starts all classes alike.
        generator: of the randomness (CPU).
    """
    noise = torch.randn(classes, public.shape[1], generator=generator).to(public)
    return public.mean(0, keepdim=True) + spread * noise

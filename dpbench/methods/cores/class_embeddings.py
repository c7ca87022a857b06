"""Initial embeddings of private classes in a model pretrained on public classes.

Public classes are never mapped to private ones, unless a planned private query assigns them. Without one, private class
embeddings start at random around the mean of the public embeddings, because identical embeddings separate slowly under
DP-SGD.
"""

from __future__ import annotations

import torch
from torch import Tensor


def initial_class_embeddings(
    public: Tensor, classes: int, spread: float | Tensor, generator: torch.Generator
) -> Tensor:
    """Random embeddings [classes, d] with standard deviation `spread` around the mean of the public ones.

    Args:
        public: [k, d] embeddings of the public conditions.
        classes: number of private classes.
        spread: standard deviation per component; 0 makes all class embeddings identical.
        generator: source of the random offsets (CPU).
    """
    noise = torch.randn(classes, public.shape[1], generator=generator).to(public)
    return public.mean(0, keepdim=True) + spread * noise


def assigned_class_embeddings(public: Tensor, weights: Tensor) -> Tensor:
    """Mean embeddings [classes, d] of the public classes that a private query assigned to each private class.

    Args:
        public: [k, d] embeddings of the public classes.
        weights: [classes, k], not negative; a class has at least one above 0.
    """
    return (weights / weights.sum(1, keepdim=True)).to(public) @ public

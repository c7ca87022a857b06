"""The SHA-256 that a saved model holds in place of weights that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dpbench.core.errors import DataError

KEY = "sha256"
"""Its name in the state of a model."""


def mark_of(sha256: str) -> dict[str, Tensor]:
    """The state that stands for weights: uint8 [32].

    Args:
        sha256: the 64 hexadecimal digits of their SHA-256.
    """
    return {KEY: torch.tensor(list(bytes.fromhex(sha256)), dtype=torch.uint8)}


def checked_mark(state: Mapping[str, Tensor], name: str, sha256: str) -> dict[str, Tensor]:
    """The mark of the weights on disk, which must be that in the state of a saved model.

    Args:
        state: the saved model's state.
        name: the name of the weights on disk.
        sha256: the 64 hexadecimal digits of their SHA-256.

    Raises:
        DataError: they differ.
    """
    saved = bytes(state[KEY].tolist()).hex()
    if sha256 != saved:
        raise DataError(
            f"the weights '{name}' are not those that the model was saved with (their SHA-256 begins with "
            f"{sha256[:12]}, not {saved[:12]}); put the original ones back"
        )
    return mark_of(sha256)

"""Secret randomness for DP noise and Poisson sampling (rule R4).

Seeded from the operating system, one source per process; experiment seeds never reach it. Stated limits: Gaussian
noise is drawn in floating point, and the generators (NumPy's Philox on the CPU, torch's on a GPU) are not
cryptographic.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dpbench.core.errors import PrivacyError


class NoiseSource:
    """Draws the noise and the Poisson samples of one process. Cannot be copied, pickled or used after a fork.

    Args:
        device: where noise is wanted.
        reproducible_seed: for tests only; a source made with it is not secret, and its trial's row says so.
        stream: tells the reproducible sources of several processes apart.
    """

    def __init__(self, device: str = "cpu", reproducible_seed: int | None = None, stream: int = 0):
        self.secret = reproducible_seed is None
        self._process = os.getpid()
        seed = secrets.randbits(256) if reproducible_seed is None else reproducible_seed
        self._device = torch.device(device)
        self._stream = stream
        self._numpy = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(stream,))))
        self._torch = None
        if self._device.type != "cpu":
            self._torch = torch.Generator(self._device).manual_seed(int(self._numpy.integers(2**63)))

    def gaussian(self, shape: tuple[int, ...], std: float) -> Tensor:
        """fp32 N(0, std²) noise of the given shape on the source's device."""
        self._refuse_fork()
        if self._torch is not None:
            return torch.randn(shape, generator=self._torch, device=self._device) * std
        return torch.from_numpy(self._numpy.standard_normal(shape, dtype=np.float32)) * std

    def poisson_sample(self, n: int, rate: float) -> list[int]:
        """Indices below n, each taken independently with probability `rate`; all of them at rate 1. May be empty."""
        self._refuse_fork()
        return list(range(n)) if rate == 1 else np.flatnonzero(self._numpy.random(n) < rate).tolist()

    def seed(self) -> int:
        """A fresh seed for randomness that is bound to rows of a batch, such as a loss's (see `PrivateData`)."""
        self._refuse_fork()
        return int(self._numpy.integers(2**62))

    def state_dict(self) -> dict[str, Any] | None:
        """Where a reproducible source stands; None of a secret one: who reads it could take the noise away again."""
        if self.secret:
            return None
        numbers = json.dumps(self._numpy.bit_generator.state, default=np.ndarray.tolist)
        device = None if self._torch is None else self._torch.get_state()
        return {"stream": self._stream, "numbers": numbers, "device": device}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Restores `state_dict()`; a secret source, or one of another process, stays as it is."""
        if state is None or self.secret or state["stream"] != self._stream:
            return
        self._numpy.bit_generator.state = json.loads(state["numbers"])
        if self._torch is not None:
            self._torch.set_state(state["device"])

    def _refuse_fork(self) -> None:
        if os.getpid() != self._process:
            raise PrivacyError("a noise source does not cross a fork: two processes would draw the same noise")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise PrivacyError("a noise source cannot be copied: two copies would draw the same noise")


@contextmanager
def global_randomness(seed: int, device: str) -> Iterator[None]:
    """torch's global generator seeded with `seed` and afterwards as before: draws per private batch leave no trace."""
    with torch.random.fork_rng([device] if torch.device(device).type == "cuda" else []):
        torch.manual_seed(seed)
        yield

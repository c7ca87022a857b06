"""A noisy sum for contributions that are small in the L1 norm, such as sparse counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dpbench.privacy.accounting.events import Event, LaplaceEvent
from dpbench.privacy.mechanisms.mechanism import Query


@dataclass(frozen=True, kw_only=True)
class LaplaceSum(Query):
    """`PrivateData.laplace_sum`: the sum of per-record vectors, clipped in the L1 norm, with Laplace noise.

    Sensitivity. Every record's vector is scaled to L1 norm at most `clip`, and neighbours differ by one record whose
    vector becomes zero, so the sum moves by at most `clip` in the L1 norm. Laplace noise of scale
    noise_multiplier · clip on every coordinate makes each release 1 / noise_multiplier-DP; `LaplaceEvent` says why the
    privacy losses of a single coordinate are the worst case.
    """

    noise = "laplace"
    event: ClassVar[type[Event]] = LaplaceEvent

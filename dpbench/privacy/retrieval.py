"""Means of the embeddings nearest to public queries, as the vault computes them; the proof is in `NearestMean`.

No code of a method runs here. The embeddings come from `PrivateData.derive`, which has checked that each is computed
from its own record alone.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from dpbench.core.errors import PrivacyError
from dpbench.core.progress import Progress, track
from dpbench.core.specs import DatasetSpec
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.clipping import clipped_rows
from dpbench.privacy.mechanisms.nearest_mean import NearestMean
from dpbench.privacy.parts import Parts
from dpbench.privacy.records import padded

CHUNK = 500
"""Records read at a time."""

UNITS = 2**20
"""Distances are computed in whole numbers, this many per clip, so that rounding cannot depend on other records."""


@final
class Retrieval:
    """All releases of one mechanism.

    Args:
        parts: the vault's parts.
        mechanism: the planned mechanism, with its noise.
        queries: [releases, classes, d].
        spec: what the dataset declares.
        probes: synthetic records with their embeddings.

    Raises:
        PrivacyError: the records have no embeddings, the queries do not fit them or the plan, some releases are spent,
            or several processes share the records.
    """

    def __init__(self, parts: Parts, mechanism: NearestMean, queries: Tensor, spec: DatasetSpec, probes: Probes):
        name, derived = mechanism.name, probes.take(1)[0].derived
        if parts.world.size > 1:
            raise PrivacyError(f"'{name}' compares all records in one process; run it without torchrun")
        if derived is None or derived.ndim != 2 or not derived.is_floating_point():
            raise PrivacyError(f"'{name}' needs one vector per record: make them by private.derive; query its result")
        expected = [mechanism.releases, max(1, spec.n_classes), derived.shape[1]]
        if list(queries.shape) != expected:
            raise PrivacyError(f"'{name}' needs queries [releases, classes, size] = {expected}, not {[*queries.shape]}")
        if parts.ledger.spent[name]:
            raise PrivacyError(f"'{name}' answers all its queries in one call, and it was called already")
        self._parts = parts
        self._mechanism = mechanism
        self._queries = torch.stack([clipped_rows(of_release.cpu(), mechanism.clip) for of_release in queries])

    def released(self, progress: Progress) -> Tensor:
        """The noisy means of all releases: fp32 [releases, classes, d]."""
        embeddings, classes = self._embedded()
        places = self._in_units(embeddings)
        numbers = track(
            progress, range(1, len(self._queries) + 1), f"query '{self._mechanism.name}'", len(self._queries)
        )
        return torch.stack([self._release(number, embeddings, places, classes) for number in numbers])

    def _embedded(self) -> tuple[Tensor, Tensor]:
        """The clipped embeddings [n, d] and classes int64 [n] of all records, in the order of their positions."""
        records = self._parts.records
        rows, classes = [], []
        for batch, real in padded(records, range(len(records)), CHUNK, "cpu"):
            assert batch.derived is not None
            rows.append(clipped_rows(batch.derived, self._mechanism.clip)[real])
            classes.append(batch.class_rows[real])
        return torch.cat(rows), torch.cat(classes)

    def _in_units(self, vectors: Tensor) -> Tensor:
        """Vectors of norm at most `clip` in whole numbers: int64."""
        return (vectors * (UNITS / self._mechanism.clip)).round().long()

    def _release(self, number: int, embeddings: Tensor, places: Tensor, classes: Tensor) -> Tensor:
        """One release: [classes, d]."""
        parts, mechanism = self._parts, self._mechanism
        draws = parts.noise.of(mechanism.name, number)
        sample = torch.tensor(draws.poisson_sample(len(classes), mechanism.rate_at(number)), dtype=torch.long)
        sums = []
        for label, query in enumerate(self._in_units(self._queries[number - 1])):
            candidates = sample[classes[sample] == label]
            chosen = candidates[nearest(places[candidates], query, mechanism.neighbours)]
            sums.append(embeddings[chosen].sum(0))
        [noisy], _ = parts.release([torch.stack(sums).to(parts.device)], mechanism, draws)
        return noisy / mechanism.neighbours


def nearest(places: Tensor, query: Tensor, k: int) -> Tensor:
    """The rows of the at most k places nearest to a query, in the order of distance, then row: int64 [k or fewer].

    Args:
        places: int64 [b, d].
        query: int64 [d].
        k: how many.
    """
    apart = places - query
    return (apart * apart).sum(1).sort(stable=True).indices[:k]

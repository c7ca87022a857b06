"""Runs every query of the vault on a small model, thousands of times, so that each release's content can be read off.

The records are images of one bright pixel each, so their contributions are orthogonal. The contributions are large, so
the vault clips every one of them. The other pixels stay dark, so in their coordinates a release is noise alone. The
model has two layers of one shape, whose noise must differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dpbench.core.data import ImageDataset
from dpbench.core.progress import Progress, track
from dpbench.core.specs import Batch, Budget, DatasetSpec
from dpbench.privacy.auditing.canaries import LOUD
from dpbench.privacy.auditing.canary_scores import Measured, Scores
from dpbench.privacy.auditing.measurements import (
    contribution_faults,
    noise_faults,
    noise_scale,
    sampling_faults,
    shared_noise_faults,
)
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.gradients.engines import ENGINES
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import DPSGD, Mechanism, NoisySum
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.plan import CalibratedPlan, Plan
from dpbench.privacy.vault import Vault

QUERIES = (*ENGINES, "noisy_sum")

SPEC = DatasetSpec("small model", 1, 8, n_train=16, n_test=1, classes=None, public_benchmark=False)

PIXELS = SPEC.resolution**2

VIEWS = 2

CLIP = 0.5

QUIET = 0.01
"""Noise multiplier at which every release shows which records took part."""

WATCHED = 120
"""Number of releases with little noise, from which the sampled records are read off."""

NAME = "audit"


class OnePixel(ImageDataset):
    """`SPEC.n_train` images: record i is bright at pixel i, or dark where it is absent.

    Attributes:
        present: [n] bool; may be changed between releases. A dark record contributes nothing.
    """

    spec = SPEC

    def __init__(self) -> None:
        self.present = torch.ones(SPEC.n_train, dtype=torch.bool)
        self._images = 255 * torch.eye(SPEC.n_train, PIXELS, dtype=torch.uint8)

    def __len__(self) -> int:
        return SPEC.n_train

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`."""
        chosen = list(indices)
        return Batch((self._images[chosen] * self.present[chosen, None]).reshape(-1, *SPEC.shape))

    @property
    def fingerprint(self) -> str:
        """The dataset's name."""
        return SPEC.name


class TwoLayers(nn.Module):
    """The sum of two layers of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(PIXELS, 1, bias=False)
        self.other = nn.Linear(PIXELS, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[b, pixels] -> [b]."""
        return (self.one(x) + self.other(x)).squeeze(-1)


def mechanism(query: str, batch: int, steps: int, noise: float | None = None) -> Mechanism:
    """`steps` releases by a query, over Poisson samples of `batch` records on average."""
    if query == "noisy_sum":
        rate = batch / SPEC.n_train
        return NoisySum(name=NAME, clip=CLIP, noise_multiplier=noise, rate=rate, count=steps)
    return DPSGD(name=NAME, clip=CLIP, noise_multiplier=noise, n=SPEC.n_train, expected_batch=batch, steps=steps)


def releases(query: str, records: OnePixel, plan: CalibratedPlan, device: str) -> Iterator[NDArray[np.float64]]:
    """All releases of a plan of one mechanism: each [2, pixels], in units of the clip.

    A record that takes part adds 1 / √2 at its pixel in both rows.
    """
    vault = Vault(records, SPEC, Ledger(plan), NoiseSource(device), device)
    take = _sums if query == "noisy_sum" else _steps
    for release in take(query, vault, plan[NAME]):
        yield np.asarray(release.to("cpu", torch.float64).numpy()) / CLIP


def _sums(query: str, vault: Vault, planned: Mechanism) -> Iterator[Tensor]:
    def contribution(batch: Batch) -> Tensor:
        return LOUD * _pixels(batch)[:, None].expand(-1, 2, -1)

    for _ in range(planned.releases):
        yield vault.noisy_sum(NAME, contribution)


def _steps(query: str, vault: Vault, planned: Mechanism) -> Iterator[Tensor]:
    """The sums behind each step: minus the change of the weights, times the expected batch."""
    model = TwoLayers().to(vault.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return LOUD * model(_pixels(batch))

    def weights() -> Tensor:
        return torch.cat([model.one.weight, model.other.weight]).detach().clone()

    generator = torch.Generator().manual_seed(0)
    before = weights()
    for _ in vault.dp_sgd(NAME, model, loss, optimizer, generator, views=VIEWS, engine=query):
        after = weights()
        yield (before - after) * planned.sampling_rate * SPEC.n_train
        before = after


def _pixels(batch: Batch) -> Tensor:
    assert batch.images is not None
    return batch.images.float().flatten(1) / 255


def watch(query: str, device: str) -> tuple[Measured, list[str]]:
    """(scale of the noise over the planned one, faults) of releases with little noise and small batches.

    An eighth of the records take part on average, so one release in eight is over an empty sample.
    """
    planned = mechanism(query, SPEC.n_train // 8, WATCHED, QUIET)
    open_plan = CalibratedPlan((planned,), Budget(math.inf, 0.5), *[math.inf] * 4)
    found = np.stack(list(releases(query, OnePixel(), open_plan, device)))
    parts = found[:, :, : SPEC.n_train].sum(axis=1) / np.sqrt(2)  # [releases, n]: 1 where a record took part
    noise = found[:, :, SPEC.n_train :] / QUIET
    took_part = parts > 0.1
    flat = noise.reshape(len(noise), -1)
    faults = [
        *contribution_faults(parts[took_part], QUIET, query),
        *sampling_faults(took_part, planned.sampling_rate, query),
        *noise_faults(flat, query),
        *shared_noise_faults(noise[:, 0], noise[:, 1], query),
    ]
    if len(found) != planned.releases:
        faults.append(f"{query} made {len(found)} releases where {planned.releases} are planned")
    return Measured(noise_scale(flat), 1 / math.sqrt(2 * flat.size)), faults


STEPS = 2
"""Releases of one run of the classical test, each over half of the records."""


def run_plan(query: str, budget: Budget) -> CalibratedPlan:
    """The plan of one run, calibrated to the budget, with the same noise for every query."""
    sums = calibrate(Plan(mechanism("noisy_sum", SPEC.n_train // 2, STEPS)), budget)
    same = mechanism(query, SPEC.n_train // 2, STEPS, sums[NAME].noise_multiplier)
    return replace(sums, mechanisms=(same,))


def many_scores(
    query: str, plan: CalibratedPlan, runs: int, device: str, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of record 0 in runs with it and in runs without it, `runs` in all: (present, absent).

    A run is `STEPS` successive releases, none of which depends on earlier ones.
    """
    one_run = plan[NAME]
    all_runs = mechanism(query, SPEC.n_train // 2, STEPS * runs, one_run.noise_multiplier)
    records, coins = OnePixel(), np.random.default_rng().random(runs) < 0.5
    stream = releases(query, records, replace(plan, mechanisms=(all_runs,)), device)
    scores = [Scores(one_run, np.ones(1, dtype=bool)) for _ in range(runs)]
    for run in track(progress, range(runs), f"runs of {query}", runs):
        records.present[0] = bool(coins[run])
        for _ in range(STEPS):
            release = next(stream)
            dark, canary = release[:, -1], release[:, 0]
            scores[run].see(np.array([dark.sum(), canary.sum()]) * CLIP / np.sqrt(2))
    values = np.concatenate([s.values for s in scores])
    return values[coins], values[~coins]

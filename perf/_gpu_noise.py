"""Statistics of the vault's noise and Poisson samples on the device, from releases with known exact sums.

The noise is the release minus the exact sum, divided by its standard deviation. It is compared with independent
standard normal numbers: mean, standard deviation, distribution, and correlation between coordinates, releases,
parameters and vaults. Poisson samples are observed through a dataset that records which images are read. The last check
tests the guard that watches closures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from dpbench.core.context import Precision
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, Budget, DatasetSpec
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import DPSGD, Mechanism, NoisySum
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.vault import Vault
from perf._gpu_checks import Check, Setting, Value
from perf._gpu_guard import guarded_passes

SIGMAS = 6
"""Maximum deviation of a statistic in standard errors; exceeded by chance once in 5·10⁸ tests."""

LEAST_P = 1e-8

CLIP, MULTIPLIER, RECORDS, RELEASES, PIXELS = 0.5, 2.0, 64, 4, 16

NORMAL = ("mean", "std", "KS p", "neighbours", "releases")
POISSON = ("size", "size's variance", "records p", "steps")


class Watched(ImageDataset):
    """Random images in memory; `read` holds the indices read since it was last cleared."""

    def __init__(self, n: int):
        self.spec = DatasetSpec("watched", 1, 4, n, 10, None, True)
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (n, *self.spec.shape), generator=generator, dtype=torch.uint8)
        self.read: set[int] = set()

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int]) -> Batch:
        self.read |= {int(i) for i in indices}
        return Batch(self.images[torch.as_tensor(list(indices), dtype=torch.long)])

    @property
    def fingerprint(self) -> str:
        return "watched"


def vault(records: Watched, mechanism: Mechanism, device: str, precision: Precision = "fp32") -> Vault:
    """A vault of the records with one mechanism and secret noise."""
    plan = CalibratedPlan((mechanism,), Budget(1.0, 1e-5), 1.0, 1.1, 0.25, 1.0)
    return Vault(records, records.spec, Ledger(plan), NoiseSource(device), device, precision)


def checks(setting: Setting) -> Iterator[Check]:
    """Checks of the noise of steps, sums and two vaults, of the samples of steps and sums, and of the guard."""
    for precision in ("fp32", "bf16"):
        measure = partial(_noise_of_steps, setting, precision)
        yield Check(f"noise of dp_sgd, {precision}", (*NORMAL, "parameters"), measure)
    yield Check("noise of noisy_sum", NORMAL, partial(_noise_of_sums, setting))
    yield Check("two vaults, one seed of torch", ("vaults",), partial(_two_vaults, setting))
    yield Check("Poisson samples of dp_sgd", POISSON, partial(_samples_of_steps, setting))
    yield Check("Poisson samples of noisy_sum", POISSON, partial(_samples_of_sums, setting))
    yield Check("guarded backward passes on a busy CPU", ("refused",), partial(guarded_passes, setting))


def within(standard_errors: float) -> Value:
    return Value(float(standard_errors), bool(abs(standard_errors) <= SIGMAS))


def probable(p: float) -> Value:
    return Value(float(p), bool(p >= LEAST_P))


def largest(standard_errors: Sequence[float]) -> Value:
    return within(max(standard_errors, key=abs))


def correlation(a: Tensor, b: Tensor) -> float:
    """Correlation in standard errors, for numbers with mean 0 and variance 1."""
    return float((a.flatten() * b.flatten()).mean()) * math.sqrt(a.numel())


def normality(noise: Tensor) -> Mapping[str, Value]:
    """Statistics of noise [releases, coordinates] that should be independent N(0, 1), each for the worst release."""
    n = noise.shape[1]
    pairs = [(i, j) for i in range(len(noise)) for j in range(i)]
    return {
        "mean": largest([float(x.mean()) * math.sqrt(n) for x in noise]),
        "std": largest([float(x.square().mean() - 1) * math.sqrt(n / 2) for x in noise]),
        "KS p": probable(min(float(stats.kstest(x.numpy(), "norm").pvalue) for x in noise)),
        "neighbours": largest([correlation(x[k:], x[:-k]) for x in noise for k in (1, 2, 32)]),
        "releases": largest([correlation(noise[i], noise[j]) for i, j in pairs]),
    }


def _noise_of_steps(setting: Setting, precision: Precision) -> Mapping[str, Value]:
    noise = steps_noise(setting, precision)
    first, second = noise.chunk(2, dim=1)
    return {**normality(noise), "parameters": largest([correlation(a, b) for a, b in zip(first, second, strict=True)])}


def steps_noise(setting: Setting, precision: Precision = "fp32") -> Tensor:
    """The noise of each `dp_sgd` step on two linear layers, divided by its deviation: [releases, coordinates].

    The gradients do not depend on the weights, so the exact sum of every step is known: record i contributes w_i ⊗ x_i
    for both layers, scaled to the clip.
    """
    records = Watched(RECORDS)
    width = 400 if setting.tiny else 20_000
    mechanism = DPSGD(
        name="steps", clip=CLIP, noise_multiplier=MULTIPLIER, n=RECORDS, expected_batch=RECORDS, steps=RELEASES
    )
    model = Pair(PIXELS, width).to(setting.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    private = vault(records, mechanism, setting.device, precision)
    released = []
    stepper = private.dp_sgd("steps", model, along_ones, optimizer, torch.Generator(setting.device).manual_seed(0))
    before = model.weights()
    for _ in stepper:
        after = model.weights()
        released.append((before - after) * RECORDS)
        before = after
    x = _binary(records.images).flatten(1).double()
    scale = CLIP / (x.norm(dim=1) * math.sqrt(2 * width))  # both layers together have norm ‖x‖ √(2 width)
    sum_of_rows = (scale.clamp(max=1)[:, None] * x).sum(0)
    return (torch.stack(released) - sum_of_rows.repeat(2 * width)) / (MULTIPLIER * CLIP)


class Pair(nn.Module):
    """Two parallel linear layers with the same shape and zero weights."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first, self.second = (nn.Linear(inputs, outputs, bias=False) for _ in range(2))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) + self.second(x)

    def weights(self) -> Tensor:
        """All weights as one vector, in fp64 on the CPU."""
        return torch.cat([p.detach().double().cpu().flatten() for p in self.parameters()])


def along_ones(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """A loss with the pixels as its weight gradient for every output, exact in bf16."""
    return model(_binary(batch.images).flatten(1)).float().sum(1)


def _binary(images: Tensor) -> Tensor:
    return (images > 127).float()


def _noise_of_sums(setting: Setting) -> Mapping[str, Value]:
    return normality(sums_noise(setting))


def sums_noise(setting: Setting) -> Tensor:
    """The noise of `noisy_sum` releases of all records, divided by its deviation: [releases, coordinates]."""
    records = Watched(RECORDS)
    copies = 800 if setting.tiny else 10_000
    mechanism = NoisySum(name="sum", clip=CLIP, noise_multiplier=MULTIPLIER, count=RELEASES)
    private = vault(records, mechanism, setting.device)
    contribution = partial(_copied, copies=copies)
    released = [private.noisy_sum("sum", contribution, chunk=RECORDS).double().cpu() for _ in range(RELEASES)]
    contributions = _copied(Batch(records.images), copies).double()
    shares = (CLIP / contributions.norm(dim=1)).clamp(max=1)
    return (torch.stack(released) - shares @ contributions) / (MULTIPLIER * CLIP)


def _copied(batch: Batch, copies: int) -> Tensor:
    return (batch.images.float() / 255).flatten(1).repeat(1, copies)


def _two_vaults(setting: Setting) -> Mapping[str, Value]:
    """Noise must not depend on the seeds of an experiment."""
    noise = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 (the global one is meant)
        noise.append(steps_noise(setting))
    return {"vaults": largest([correlation(a, b) for a, b in zip(*noise, strict=True)])}


def _samples_of_steps(setting: Setting) -> Mapping[str, Value]:
    records, (rounds, batch) = _sampled(setting)
    n = len(records)
    mechanism = DPSGD(name="steps", clip=1.0, noise_multiplier=1.0, n=n, expected_batch=batch, steps=rounds)
    model = Pair(PIXELS, 2).to(setting.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    private = vault(records, mechanism, setting.device)
    stepper = private.dp_sgd("steps", model, along_ones, optimizer, torch.Generator(setting.device).manual_seed(0))
    return poisson(_drawn(records, rounds, lambda: next(stepper)), batch / n)


def _samples_of_sums(setting: Setting) -> Mapping[str, Value]:
    records, (rounds, batch) = _sampled(setting)
    rate = batch / len(records)
    mechanism = NoisySum(name="sum", clip=1.0, noise_multiplier=1.0, rate=rate, count=rounds)
    private = vault(records, mechanism, setting.device)
    return poisson(
        _drawn(records, rounds, lambda: private.noisy_sum("sum", partial(_copied, copies=1), chunk=64)), rate
    )


def _sampled(setting: Setting) -> tuple[Watched, tuple[int, int]]:
    """Records, releases, and expected batch."""
    return (Watched(200), (100, 40)) if setting.tiny else (Watched(1000), (400, 200))


def _drawn(records: Watched, rounds: int, release: Callable[[], object]) -> np.ndarray:
    """The records read for each release: bool [releases, records]."""
    drawn = np.zeros((rounds, len(records)), bool)
    for row in drawn:
        records.read.clear()
        release()
        row[list(records.read)] = True
    return drawn


def poisson(drawn: np.ndarray, rate: float) -> Mapping[str, Value]:
    """Statistics of samples that should contain each record independently with probability `rate`."""
    rounds, n = drawn.shape
    sizes, spread = drawn.sum(axis=1), n * rate * (1 - rate)
    standard = torch.from_numpy((drawn - rate) / math.sqrt(rate * (1 - rate)))
    counts = drawn.sum(axis=0)
    return {
        "size": within((sizes.mean() - n * rate) / math.sqrt(spread / rounds)),
        "size's variance": within((((sizes - n * rate) ** 2).mean() / spread - 1) * math.sqrt(rounds / 2)),
        "records p": probable(
            float(stats.chi2.sf(((counts - rounds * rate) ** 2).sum() / (rounds * rate * (1 - rate)), n))
        ),
        "steps": within(correlation(standard[1:], standard[:-1])),
    }

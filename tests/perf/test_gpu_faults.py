"""Each section of perf/gpu.py detects its faults, which are injected here one at a time."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

import dpbench
from dpbench.core.specs import Batch
from dpbench.models.transformer import TokenTransformer
from dpbench.privacy import clipping, noise
from dpbench.privacy.checks.guard import guarded
from dpbench.privacy.gradients import bookkeeping, layer_gradients, opacus_engine, terms, vmap
from dpbench.privacy.gradients import engine as gradients
from perf import _gpu_guard, _gpu_presets, _gpu_throughput
from perf._engines import BookKeepingEngine
from perf._gpu_checks import Cell, Setting, run_checks

TINY = Setting("cpu", tiny=True)

ENGINES = {"book-keeping", "opacus", "vmap"}


def failures(section: str, row: str) -> set[str]:
    """The columns with failures, in rows that begin with `row`."""
    checks = [c for c in import_module(f"perf._gpu_{section}").checks(TINY) if c.row.startswith(row)]
    cells: list[Cell] = list(run_checks(checks, math.inf))
    assert cells
    return {cell.column for cell in cells if cell.value.passed is False}


@pytest.fixture
def inject_fault(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, Callable[..., Any]], None]:
    """inject_fault(owner, name, fault): replaces owner.name by fault(original function, arguments...)."""

    def put(owner: Any, name: str, fault: Callable[..., Any]) -> None:
        original = getattr(owner, name)

        def faulty(*arguments: Any) -> Any:
            return fault(original, *arguments)

        monkeypatch.setattr(owner, name, faulty)

    return put


def to_tf32(x: Tensor) -> Tensor:
    """fp32 numbers rounded to TF32's ten-bit mantissa."""
    return ((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def test_gradients_section_detects_a_wrong_layer_rule(inject_fault):
    def halved(original, *arguments):
        return {name: terms.Dense(t.dense().values / 2) for name, t in original(*arguments).items()}

    assert failures("gradients", "group norm, fp32") == set()
    inject_fault(layer_gradients.GroupNormGradients, "terms", halved)
    assert failures("gradients", "group norm, fp32") == {"book-keeping K=1", "book-keeping K=8"}
    assert failures("gradients", "group norm, bf16") == {"book-keeping K=8"}


def test_gradients_section_detects_a_wrong_sum_of_clipped_gradients(inject_fault):
    for module in (opacus_engine, vmap):
        inject_fault(module, "clip_and_sum", lambda original, grads, real, clip: original(grads, real, 1.01 * clip))
    assert failures("gradients", "linear, fp32") == {f"{e} K={k}" for e in ("opacus", "vmap") for k in (1, 8)}


def test_gradients_section_detects_tf32_factors(inject_fault):
    def of_factors(original, term, weights):
        return original(replace(term, x=to_tf32(term.x), g=to_tf32(term.g)), to_tf32(weights))

    inject_fault(terms.Factored, "weighted_sum", of_factors)
    assert failures("gradients", "conv2d, few places, fp32") == {"book-keeping K=1"}
    inject_fault(
        terms.Dense, "weighted_sum", lambda original, term, w: original(terms.Dense(to_tf32(term.values)), to_tf32(w))
    )
    assert failures("gradients", "conv2d, few places, TF32") == {"book-keeping K=8"}


def test_gradients_section_detects_tf32_weights(inject_fault):
    def rounded(original, squares, *arguments):
        weights, kept = original(squares, *arguments)
        return to_tf32(weights), kept

    assert failures("gradients", "linear, TF32") == set()
    inject_fault(gradients, "clip_weights", rounded)
    assert failures("gradients", "linear, TF32") == {"opacus K=8", "vmap K=8"}


def test_clip_section_detects_missing_clipping(inject_fault):
    def nothing(original, squares, real, clip, *_):
        return original(squares, real, math.inf)

    for module in (bookkeeping, gradients, clipping):
        inject_fault(module, "clip_weights", nothing)
    assert failures("clip", "linear 8→8, 32 views, fp32") == ENGINES
    assert failures("clip", "layer norm") == ENGINES
    assert failures("clip", "noisy sum of 8, × 1e+06") == {"dense", "sparse"}


def test_clip_section_detects_norms_of_the_gram_form_with_rounding_errors(inject_fault):
    def rounded(original, term):
        xx, gg = torch.bmm(term.x, term.x.mT), torch.bmm(term.g, term.g.mT)
        return (xx.bfloat16() * gg.bfloat16()).float().sum((1, 2)).clamp_min(0).double()

    assert failures("clip", "linear 3072→512, 2 views, fp32") == set()
    inject_fault(terms.Outer, "squared_norms", rounded)
    assert failures("clip", "linear 3072→512, 2 views, fp32") == {"book-keeping"}


def test_clip_section_detects_norms_of_long_vectors_with_rounding_errors(inject_fault):
    inject_fault(
        gradients, "squared_norms", lambda original, g: torch.linalg.vector_norm(g.flatten(1), dim=1).double() ** 2
    )
    assert failures("clip", "linear 3072→512, 2 views, fp32") == {"opacus", "vmap"}


NOISE = ("noise of dp_sgd, fp32", "noise of noisy_sum")


@pytest.mark.parametrize("row", NOISE)
def test_noise_section_detects_half_the_noise(inject_fault, row):
    assert failures("noise", row) == set()
    inject_fault(noise.Draws, "gaussian", lambda original, source, shape, std: original(source, shape, std / 2))
    assert {"std", "KS p"} <= failures("noise", row)


@pytest.mark.parametrize("row", NOISE)
def test_noise_section_detects_repeated_noise(inject_fault, row):
    inject_fault(noise.NoiseSource, "of", lambda original, source, name, number: original(source, name, 1))
    assert failures("noise", row) == {"releases"}


def test_noise_section_detects_shared_noise_of_parameters_and_coordinates(inject_fault):
    def of_every_parameter(original, source, shape, std):
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * std

    def twice(original, source, shape, std):
        return original(source, (math.prod(shape) // 2,), std).repeat_interleave(2).reshape(shape)

    inject_fault(noise.Draws, "gaussian", twice)
    assert "neighbours" in failures("noise", NOISE[0])
    inject_fault(noise.Draws, "gaussian", of_every_parameter)
    assert "parameters" in failures("noise", NOISE[0])


def test_noise_section_detects_non_gaussian_noise(inject_fault):
    def uniform(original, source, shape, std):
        return (torch.rand(shape) - 0.5) * math.sqrt(12) * std

    inject_fault(noise.Draws, "gaussian", uniform)
    assert "KS p" in failures("noise", NOISE[0])


def test_noise_section_detects_a_shifted_release(inject_fault):
    inject_fault(noise.Draws, "gaussian", lambda original, source, shape, std: original(source, shape, std) + 0.2 * std)
    assert "mean" in failures("noise", NOISE[0])


def test_noise_section_detects_noise_that_depends_on_the_experiment_seed(inject_fault):
    assert failures("noise", "two vaults") == set()
    inject_fault(noise.Draws, "gaussian", lambda _, source, shape, std: torch.randn(shape) * std)
    assert failures("noise", "two vaults") == {"vaults"}


def of_fixed_size(original, source, n, rate):
    return np.random.default_rng().permutation(n)[: round(n * rate)].tolist()


def of_the_first(original, source, n, rate):
    return [i for i in original(source, n, 1.25 * rate) if i < 0.8 * n]


def in_pairs():
    """A fault that uses every sample for two releases."""
    kept = []

    def sample(original, source, n, rate):
        if kept:
            return kept.pop()
        kept.append(original(source, n, rate))
        return kept[0]

    return sample


@pytest.mark.parametrize(
    ("fault", "seen"), [(of_fixed_size, "size's variance"), (of_the_first, "records p"), (in_pairs(), "steps")]
)
@pytest.mark.parametrize("row", ["Poisson samples of dp_sgd", "Poisson samples of noisy_sum"])
def test_noise_section_detects_batches_that_are_not_poisson_samples(inject_fault, row, fault, seen):
    assert failures("noise", row) == set()
    inject_fault(noise.Draws, "poisson_sample", fault)
    assert seen in failures("noise", row)


def test_noise_section_detects_a_guard_that_refuses_late_releases(monkeypatch):
    assert failures("noise", "guarded") == set()
    held = []
    monkeypatch.setattr(_gpu_guard, "guarded", lambda closure, records, *rest: guarded(keep, records, *rest))

    def keep(batch: Batch) -> Tensor:
        held.append(batch.derived)
        threading.Timer(0.05, held.pop).start()
        return batch.derived

    assert failures("noise", "guarded") == {"refused"}


def test_speed_section_detects_engines_that_disagree(inject_fault):
    def doubled(original, *arguments):
        return [2 * g for g in original(*arguments)]

    inject_fault(BookKeepingEngine, "clipped_sum", doubled)
    assert failures("speed", "U-Net") == {"book-keeping: error", "opacus: error"}


def test_trial_section_detects_wrong_row_values(monkeypatch):
    row = {"accounting": "verified", "noise": "secret", "epsilon_spent": 9.99, "fwd": 12.0, "computed_in": "bf16"}
    row |= {f"seconds_{phase}": 1.0 for phase in ("prepare", "fit", "sample", "evaluate")} | {"peak_memory_mb": 9.0}

    def failures_of(**wrong):
        monkeypatch.setattr(dpbench, "run", lambda *_, **__: pd.DataFrame([row | wrong]))
        return failures("trial", "wavelet")

    assert failures_of() == set()
    assert failures_of(accounting="unverified") == {"verified"}
    assert failures_of(noise="reproducible") == {"verified"}
    assert failures_of(epsilon_spent=10.01) == failures_of(epsilon_spent=9.0) == {"ε spent"}
    assert failures_of(fwd=math.nan) == {"score"}


def test_processes_section_detects_sums_that_change(inject_fault):
    assert failures("processes", "gloo") == set()
    inject_fault(dist, "all_reduce", lambda original, tensor: tensor.mul_(2))
    assert failures("processes", "gloo") == {"sums kept"}


def test_throughput_section_detects_wrong_tokens_and_scores(inject_fault, monkeypatch):
    assert failures("throughput", "transformer") == failures("throughput", "fwd") == set()
    inject_fault(TokenTransformer, "sample", lambda original, model, *rest: original(model, *rest).flip(1))
    assert failures("throughput", "transformer") == {"other tokens"}
    found = iter((1.0, 1.0, 1.01))  # what is timed, on the device, on the CPU
    monkeypatch.setattr(_gpu_throughput, "_scores", lambda *_: {"fwd": next(found)})
    assert failures("throughput", "fwd") == {"error"}


def test_presets_section_detects_a_phase_that_is_not_verified(monkeypatch):
    row = {"accounting": "verified", "seconds_fit": 1.0, "peak_memory_mb": 9.0, "computed_in": "bf16"}
    for wrong, found in (({}, set()), ({"accounting": "unverified"}, {"private steps"})):
        monkeypatch.setattr(_gpu_presets, "row_of", lambda *_, wrong=wrong, **__: row | wrong)
        assert failures("presets", "wavelet") == found

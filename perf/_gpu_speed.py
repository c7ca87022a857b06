"""Seconds and peak memory of a private step compared with plain training, for models of realistic size.

Each private engine alternates with plain training, each with its fastest micro-batch size. The only verdict is whether
the engines agree on the clipped sum; Opacus' ghost clipping gets no verdict. TF32 has torch's default settings: allowed
for convolutions, not for matrix products.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch

from dpbench.models.transformer import TokenTransformer, TransformerConfig
from perf._engines import make_step
from perf._gpu_checks import Check, Setting, Value, at_most
from perf._measure import best_micro_batch, peak_of_step, records, time_in_turns
from perf._models import Case, denoise, images, in_bf16, next_token, small_unet, tokens, unet

PLAIN = ("plain [s]", "plain [MiB]")

ENGINES = ("book-keeping", "opacus", "opacus-ghost")

ERROR = 0.03
"""Maximum relative distance between the clipped sums of two engines. bf16 rounding causes about a third of it."""


def transformer(length: int, **sizes: int) -> TokenTransformer:
    return TokenTransformer(TransformerConfig(256, length, 10, **sizes))


CASES: Mapping[str, Case] = {
    "transformer 1M": Case(
        partial(transformer, 16), next_token, partial(tokens, 16), 2048,
        candidates=(256, 1024), probe=1024,
    ),
    "U-Net 1M": Case(small_unet, denoise, partial(images, 1, 32), 512, candidates=(128, 512), probe=512),
    "transformer 50M": Case(
        partial(transformer, 64, dim=512, depth=16, heads=8), next_token, partial(tokens, 64), 512,
        candidates=(64, 256), probe=256,
    ),
    "U-Net 50M": Case(
        partial(unet, (128, 256, 256, 384), 2, 2, 32, 3), denoise, partial(images, 3, 32), 512,
        candidates=(64, 256), probe=256,
    ),
}  # fmt: skip

TINY: Mapping[str, Case] = {
    "transformer": Case(
        partial(transformer, 8, dim=32, depth=1), next_token, partial(tokens, 8), 16,
        candidates=(16,), probe=16, rounds=1,
    ),
    "U-Net": Case(
        partial(unet, (8, 16), 1, 0, 8, 1), denoise, partial(images, 1, 8), 16, candidates=(16,), probe=16, rounds=1
    ),
}  # fmt: skip


TINY_KINDS = {("transformer", "bf16", 1), ("U-Net", "fp32", 8)}


def checks(setting: Setting) -> Iterator[Check]:
    """One check per engine, model, precision and K, starting with bf16 and K = 1, the most common settings."""
    cases = TINY if setting.tiny else CASES
    for precision, views in [("bf16", 1), ("bf16", 8), ("fp32", 1), ("fp32", 8)]:
        for name, case in cases.items():
            if setting.tiny and (name, precision, views) not in TINY_KINDS:
                continue
            case = replace(case, views=views, count=case.count // views)
            case = replace(case, loss=in_bf16(case.loss)) if precision == "bf16" else case
            for engine in ENGINES:
                columns = (*(PLAIN if engine == ENGINES[0] else ()), *_columns(engine))
                yield Check(f"{name}, {precision}, K={views}", columns, partial(_measure, setting, case, engine))


def _measure(setting: Setting, case: Case, engine: str) -> Mapping[str, Value]:
    device = setting.device
    error = _error(case, engine, device)
    steps = {name: make_step(name, case, device) for name in ("plain", engine)}
    rows = {name: best_micro_batch(step, case, device) for name, step in steps.items()}
    times = time_in_turns(steps, rows, case, case.rounds, device)
    memory = {name: peak_of_step(step, case, rows[engine], device) for name, step in steps.items()}
    plain = statistics.median(times["plain"])
    ratio = statistics.median(a / b for a, b in zip(times[engine], times["plain"], strict=True))
    note = f"micro-batches of {rows[engine]} rows, plain training {rows['plain']}, of {case.count * case.views}"
    time, peak, wrong = _columns(engine)
    values = {
        time: Value(ratio, None, note),
        peak: Value(memory[engine] / max(1, memory["plain"]), None, f"at {rows[engine]} rows"),
        wrong: Value(error) if engine == "opacus-ghost" else at_most(error, ERROR),
    }
    if engine == ENGINES[0]:
        values |= {PLAIN[0]: Value(plain), PLAIN[1]: Value(memory["plain"] / 2**20)}
    return values


def _error(case: Case, engine: str, device: str) -> float:
    """Relative distance between the clipped sums of two records from this engine and a reference engine.

    The reference is opacus; for opacus it is book-keeping.
    """
    pair = records(case, 2, device)
    found, other = (
        torch.cat([g.flatten() for g in make_step(name, case, device)(pair, 2 * case.views)])
        for name in (engine, "book-keeping" if engine == "opacus" else "opacus")
    )
    return float((found - other).norm() / other.norm())


def _columns(engine: str) -> tuple[str, str, str]:
    return f"{engine}: time", f"{engine}: memory", f"{engine}: error"

"""Images per second of sampling and of scoring.

Two checks: sampling with the KV cache draws the same tokens as recomputation, and scores on the device equal those on
the CPU.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.evaluation.evaluator import evaluate
from dpbench.models.edm import Denoiser, SamplerConfig
from dpbench.models.transformer import TokenTransformer, TransformerConfig
from dpbench.models.unet import UNet
from dpbench.models.unet_config import UNetConfig
from perf._gpu_checks import Check, Setting, Value, at_most
from perf._measure import synchronize
from perf.sampling import recompute

CLASSES = 10

AGREE = 0.01
"""Largest share of tokens that may differ: a GPU sums in another order for other shapes, which can change a draw."""

ERROR = 1e-3
"""Largest relative distance between the scores on the device and on the CPU."""


class Sizes(NamedTuple):
    """Sizes of the measurement: images and steps of sampling, the network, and the scored images."""

    tokens: int
    sequences: int
    side: int
    channels: tuple[int, ...]
    images: int
    steps: int
    scored: int
    compared: int


FULL = Sizes(tokens=256, sequences=64, side=32, channels=(64, 128), images=2000, steps=18, scored=10_000, compared=500)
TINY = Sizes(tokens=8, sequences=4, side=16, channels=(8,), images=4, steps=2, scored=40, compared=40)


def checks(setting: Setting) -> Iterator[Check]:
    """Checks of sampling for both kinds of models, then of the default metrics."""
    sizes, device = TINY if setting.tiny else FULL, setting.device
    yield Check(
        f"transformer, {sizes.tokens} tokens",
        ("images/s", "KV cache ×", "other tokens"),
        partial(_tokens, sizes, device),
    )
    yield Check(f"U-Net, {sizes.steps} evaluations", ("images/s",), partial(_denoised, sizes, device))
    for metric in ("fwd",) if setting.tiny else ("fwd", "accuracy"):
        yield Check(
            f"{metric} of {sizes.scored:,} images", ("images/s", "error"), partial(_scored, metric, sizes, device)
        )


def seconds(call: Callable[[], object], device: str) -> float:
    """Seconds of a call, including all work that it started on the device."""
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start


def _tokens(sizes: Sizes, device: str) -> Mapping[str, Value]:
    torch.manual_seed(0)
    model = TokenTransformer(TransformerConfig(256, sizes.tokens, CLASSES)).eval().to(device)
    condition = torch.arange(sizes.sequences, device=device) % CLASSES
    cached = partial(model.sample, condition, torch.Generator().manual_seed(0))
    differ = float((cached() != recompute(model, condition, torch.Generator().manual_seed(0))).float().mean())
    quick = seconds(cached, device)
    slow = seconds(partial(recompute, model, condition, torch.Generator().manual_seed(0)), device)
    return {
        "images/s": Value(sizes.sequences / quick),
        "KV cache ×": Value(slow / quick),
        "other tokens": at_most(differ, AGREE),
    }


def _denoised(sizes: Sizes, device: str) -> Mapping[str, Value]:
    shape = (3, sizes.side, sizes.side)
    torch.manual_seed(0)
    network = UNet(shape, CLASSES + 1, UNetConfig(sizes.channels, 1, 0, 1))
    model = Denoiser(network, shape, CLASSES).eval().to(device)
    labels = torch.arange(sizes.images, device=device) % CLASSES
    sampler = SamplerConfig("dpm-solver", sizes.steps)

    def sample(count: int) -> torch.Tensor:
        return model.sample(labels[:count], torch.Generator().manual_seed(0), sampler)

    sample(2)  # warms up
    took = seconds(partial(sample, sizes.images), device)
    return {"images/s": Value(sizes.images / took)}


def _scored(metric: str, sizes: Sizes, device: str) -> Mapping[str, Value]:
    took = seconds(partial(_scores, metric, sizes.scored, sizes.side, device), device)
    found, expected = (_scores(metric, sizes.compared, sizes.side, name) for name in (device, "cpu"))
    error = max(abs(found[name] - value) / max(abs(value), 1e-6) for name, value in expected.items())
    exact = metric != "accuracy"  # accuracy trains new networks
    return {"images/s": Value(sizes.scored / took), "error": at_most(error, ERROR) if exact else Value(error)}


def _scores(metric: str, count: int, side: int, device: str) -> Mapping[str, float]:
    """Column -> score of random images."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunContext(device, torch.Generator().manual_seed(0), PublicCache(Path(folder)))
        values = evaluate([metric], _noise(count, side, 1), _noise(count, side, 2), run).values
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def _noise(count: int, side: int, seed: int) -> ArrayDataset:
    """Noise images; those of seed 2 are half as bright as those of seed 1, so that scores are far from 0."""
    spec = DatasetSpec("noise", 3, side, count, count, tuple(map(str, range(CLASSES))), True)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256 // seed, (count, *spec.shape), generator=generator, dtype=torch.uint8)
    return ArrayDataset(spec, images, torch.arange(count) % CLASSES)

"""Shared sets of coarse images: real ones, and draws of the wavelet method's coarse stage at a given ε."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import dpbench
from dpbench.benchmark.trials.stored_model import StoredModel
from dpbench.core.cache import public_cache
from dpbench.core.context import RunContext
from dpbench.core.data import DataOptions
from dpbench.core.files import write_atomic
from dpbench.core.refiner import block_means
from dpbench.core.specs import Conditions
from dpbench.data.opening import open_public

DRAWS = 4
"""Coarse images per condition, for the detail stages that use several."""

CHUNK = 500


@dataclass(frozen=True)
class Source:
    """The source of coarse images.

    Attributes:
        epsilon: budget of the coarse stage; None for real images.
    """

    epsilon: float | None

    @property
    def name(self) -> str:
        """The name in tables."""
        if self.epsilon is None:
            return "real"
        return "ε = ∞" if math.isinf(self.epsilon) else f"ε = {self.epsilon:g}"

    @property
    def method(self) -> str:
        """The argument of `dpbench run --method`. The detail stage is a stand-in without training."""
        return (
            "wavelet[refiner.name=bicubic]" if self.epsilon is not None else "wavelet[coarse=real,refiner.name=bicubic]"
        )


@dataclass(frozen=True)
class CoarseSet:
    """Coarse images of one dataset and source.

    Attributes:
        model: the trained coarse stage that drew them.
        images: float [n, DRAWS, c, h, w], nominally in [-1, 1].
        conditions: the n classes of the images.
    """

    model: StoredModel
    images: Tensor
    conditions: Conditions


def coarse_set(
    dataset: str, public: str, source: Source, samples: int, data: Path, out: Path, public_benchmark: bool = False
) -> CoarseSet:
    """Trains the coarse stage and draws coarse images, or reads those that an earlier call stored.

    Args:
        dataset: the sensitive dataset.
        public: the public source.
        source: see `Source`.
        samples: number of conditions n.
        data: folder of datasets.
        out: folder for the trials and the drawn images.
        public_benchmark: whether a folder of images is declared one.
    """
    epsilon = source.epsilon or 1.0  # no budget is spent on real images
    trials = out / "trials"
    rows = dpbench.run(
        [source.method], dataset, [epsilon], public=public, data=data, samples=1000, references=(), metrics=["fwd"],
        out=trials, public_benchmark=public_benchmark,
    )  # fmt: skip
    model = dpbench.load(rows["key"].iloc[0], trials)
    conditions = Conditions.balanced(samples, model.spec.n_classes)
    path = out / "coarse" / f"{model.record.key}-{samples}.safetensors"
    if not path.exists():
        drawn = {"images": _draw(model, conditions)}
        write_atomic(path, lambda temporary: save_file(drawn, temporary))
    return CoarseSet(model, load_file(path)["images"], conditions)


def _draw(model: StoredModel, conditions: Conditions) -> Tensor:
    """`DRAWS` coarse images per condition."""
    run, stages = working_environment(model), model.method.model
    parts = [stages.drawn(chunk, DRAWS, run).unflatten(0, (-1, DRAWS)).cpu() for chunk in conditions.chunks(CHUNK)]
    return torch.cat(parts).contiguous()


def working_environment(model: StoredModel) -> RunContext:
    """The environment in which detail stages are prepared and images are drawn; the generator is seeded."""
    torch.manual_seed(0)
    cache = public_cache()
    return RunContext(model.device, torch.Generator().manual_seed(0), cache, model.display)


def prepare_refiner(model: StoredModel, refiner: Any, public: str, data: Path, run: RunContext) -> None:
    """Trains a detail stage on public images, corrupted as this coarse stage's tokenizer corrupts them."""
    stages = model.method.model
    stages.refiner = refiner
    images = open_public(public, model.spec, DataOptions(data))
    with refiner.cost.preparing(run.cache):
        stages.prepare_refiner(images, run)


def block_error(images: Tensor, coarse: Tensor) -> float:
    """Root mean square difference between the images' coarse band and the given one, for pixels in [0, 1].

    Args:
        images: uint8 [n, c, size, size].
        coarse: float [n, c, h, h] in [-1, 1].
    """
    means = block_means(images.float() / 255, images.shape[-1] // coarse.shape[-1])
    return float((means - (coarse.clamp(-1, 1) + 1) / 2).square().mean().sqrt())


def sources(epsilons: Sequence[float]) -> list[Source]:
    """Real coarse images first, then one source per budget."""
    return [Source(None), *map(Source, epsilons)]

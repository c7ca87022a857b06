"""Drawing the images of a trial in chunks, from a model whose weights are finite; an interrupted attempt continues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpbench.benchmark.trials.sampling_state import SamplingState
from dpbench.core.cache import weights_hash
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.context import RunContext
from dpbench.core.errors import DpbenchError
from dpbench.core.method import Method
from dpbench.core.specs import Conditions
from dpbench.results import samples
from dpbench.training.device import describe_device

CHUNK = 500
"""Images per call of `Method.sample`, and per shard. Samples depend on this number, as chunks share one generator."""


def finite_weights(method: Method[Any]) -> dict[str, Tensor]:
    """A copy of the weights that the method keeps.

    Raises:
        DpbenchError: some weights are not finite, so that samples would show nothing.
    """
    weights = {name: t.detach().cpu().contiguous().clone() for name, t in method.state_dict().items()}
    broken = {name: t.numel() - int(t.isfinite().sum()) for name, t in weights.items() if not t.isfinite().all()}
    if broken:
        total = sum(t.numel() for t in weights.values())
        raise DpbenchError(
            f"{sum(broken.values()):,} of {total:,} weights are not finite (the first in {next(iter(broken))}): "
            "training diverged; try a smaller learning rate"
        )
    return weights


def draw_samples(
    method: Method[Any], conditions: Conditions, folder: Path, run: RunContext, checkpoints: Checkpoints
) -> None:
    """Fills `folder` with the images that `conditions` ask for, drawn in chunks.

    An interrupted attempt of the same model on the same device continues after its last whole shard.

    Args:
        checkpoints: where the attempt stores how far it is; the method itself stores nothing there.

    Raises:
        DpbenchError: the method returns anything but uint8 images of the dataset's shape, one per condition.
    """
    chunks = conditions.chunks(CHUNK)
    key = [asdict(conditions), weights_hash(method.state_dict()), describe_device(run.device), run.precision]
    state = SamplingState(checkpoints.state("samples", key), run)
    done = state.resume(folder, lambda number: _images(method, chunks[number], run))
    if done:
        checkpoints.say(f"sampling: resumed after {min(done * CHUNK, conditions.count):,} images")
    else:
        samples.clear(folder)
    for number, images in enumerate(drawn(method, conditions, run, done), start=done):
        samples.write_shard(folder, number, images)
        state.save(images)
    samples.write_conditions(folder, conditions)


def drawn(method: Method[Any], conditions: Conditions, run: RunContext, done: int = 0) -> Iterator[Tensor]:
    """The images that `conditions` ask for, in chunks of at most `CHUNK`: uint8 [b, c, h, w] on the CPU.

    Args:
        done: the number of chunks that are drawn already.

    Raises:
        DpbenchError: as `draw_samples`.
    """
    chunks = conditions.chunks(CHUNK)
    with run.progress.phase("sampling", conditions.count) as advance:
        advance(sum(chunk.count for chunk in chunks[:done]))
        for chunk in chunks[done:]:
            yield _images(method, chunk, run)
            advance(chunk.count)


def _images(method: Method[Any], conditions: Conditions, run: RunContext) -> Tensor:
    images = method.sample(conditions, run)
    _check_images(images, (conditions.count, *method.spec.shape))
    return images.cpu()


def _check_images(images: Tensor, shape: tuple[int, ...]) -> None:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or tuple(images.shape) != shape:
        found = f"{images.dtype} {list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise DpbenchError(f"sample() must return uint8 images {list(shape)}, not {found}")

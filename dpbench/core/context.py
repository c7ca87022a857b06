"""What a method gets to work with: device, precision, generator, progress, public cache. Nothing private or global."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from dpbench.core.checkpoints import Checkpoints
from dpbench.core.errors import DpbenchError, PrivacyError
from dpbench.core.files import code_version, digest, write_atomic
from dpbench.core.progress import Progress, Silent

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class PublicCache:
    """Content-addressed store of what was computed from public data alone, shared by trials and processes.

    Two processes that want the same entry make it once: the second waits for the first. Every key holds the version of
    the code that makes entries, so that an edited model is never fed old weights.
    """

    code: ClassVar[tuple[str, ...]] = ("methods", "models", "refiners", "training")
    """The parts of dpbench whose sources entries depend on."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._closed = False

    def close(self) -> None:
        """From now on nothing can be stored or taken: what a private phase computes must not reach another trial."""
        self._closed = True

    def place(self, file: str) -> Path:
        """Where a file of that name belongs; its folder exists.

        Raises:
            PrivacyError: the cache is closed.
            DpbenchError: the folder cannot be made.
        """
        if self._closed:
            raise PrivacyError(
                "run.cache opens in prepare alone: what fit and sample compute may depend on private data"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DpbenchError(f"cannot write the cache {self.folder}: {error.strerror}") from error
        return self.folder / file

    def get(self, name: str, key: Any, make: Callable[[torch.Generator], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors stored under (`name`, `key`), made by `make(generator)` if they are not there yet.

        They depend on the key alone: `generator` and torch's global generator are seeded from it while `make` runs.

        Args:
            name: what it is, e.g. "wavelet-coarse"; becomes part of the file name.
            key: everything the tensors depend on: public data fingerprint, configuration, code version.
        """
        import torch
        from filelock import FileLock
        from safetensors import SafetensorError
        from safetensors.torch import load_file, save_file

        key = digest([key, code_version(*self.code)])
        path = self.place(f"{name}-{key}.safetensors")
        with FileLock(path.with_suffix(".lock")):
            if path.exists():
                with contextlib.suppress(SafetensorError):  # a damaged entry is made again
                    return load_file(path)
            with torch.random.fork_rng():
                seed = int(key, 16) % 2**63
                torch.manual_seed(seed)
                made = make(torch.Generator().manual_seed(seed))
            tensors = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in made.items()}
            write_atomic(path, lambda temporary: save_file(tensors, temporary))
            return tensors


CHECKPOINTS = "checkpoints"
"""Name of the folder of a trial's checkpoints, in the trial's folder."""

Precision = Literal["fp32", "bf16"]


@dataclass
class RunContext:
    """One trial's working environment.

    Attributes:
        device: torch device name, e.g. "cpu" or "cuda:0".
        generator: the experiment's CPU generator (initial weights, public batches, sampling); never DP noise (rule R4).
        cache: public pretraining, shared by all trials; open in `prepare`, closed in `fit` and `sample`.
        progress: where long phases show themselves.
        folder: the trial's folder, or None where nothing is kept.
        precision: what models compute in; weights, optimiser states and private sums are fp32 in either.
        checkpoints: where training stores its state; by default in `folder`, and nowhere without one.
    """

    device: str
    generator: torch.Generator
    cache: PublicCache
    progress: Progress = field(default_factory=Silent)
    folder: Path | None = None
    precision: Precision = "fp32"
    checkpoints: Checkpoints = None  # type: ignore[assignment] # see __post_init__

    def __post_init__(self) -> None:
        if self.checkpoints is None:
            self.checkpoints = Checkpoints(self.folder and self.folder / CHECKPOINTS)

    def autocast(self) -> torch.autocast:
        """A context in which torch's matrix products and convolutions run in this precision."""
        import torch

        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16")

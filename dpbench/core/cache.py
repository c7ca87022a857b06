"""The store of tensors computed from public data alone, shared by trials and processes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpbench.core.closure import code_hash
from dpbench.core.errors import PrivacyError
from dpbench.core.files import digest, write_atomic
from dpbench.core.folders import cache_folder
from dpbench.core.locks import making

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dpbench.core.context import Precision

SECONDS = "seconds"
"""The metadata of a file that says how long its tensors took to make."""


def public_cache(closed: bool = False, precision: Precision = "fp32") -> PublicCache:
    """The cache in the user's cache folder, for the phases of trials.

    Args:
        closed: whether it refuses to load or store, as in all phases but `prepare` and `refine`.
        precision: see `PublicCache`.
    """
    cache = PublicCache(cache_folder() / "public", precision)
    if closed:
        cache.close()
    return cache


class PublicCache:
    """Content-addressed store of tensors computed from public data alone, shared by trials and processes.

    Two processes that want the same entry make it once: the second waits for the first. Finished entries can be read
    from another user's folder. Every key includes the hash of the code that makes the entry, so an edited model never
    gets old weights, and the precision, so that the order of runs with different ones does not matter.

    Args:
        folder: where the entries are stored.
        precision: what entries are computed in; see `RunContext.precision`.
    """

    def __init__(self, folder: Path, precision: Precision = "fp32"):
        self.folder = folder
        self._precision = precision
        self._closed = False
        self._saved: dict[Path, float] = {}

    @property
    def seconds_saved(self) -> float:
        """Seconds that it took earlier to make the entries that were loaded, less the time that this process waited."""
        return sum(self._saved.values())

    def close(self) -> None:
        """Refuses to load or store from now on: results of a private phase must not reach another trial."""
        self._closed = True

    def place(self, file: str) -> Path:
        """The path of the file with this name.

        Raises:
            PrivacyError: the cache is closed.
        """
        if self._closed:
            raise PrivacyError("run.cache is open only in prepare: results of later phases may depend on private data")
        return self.folder / file

    def get(self, name: str, key: Any, make: Callable[[torch.Generator], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors stored under (`name`, `key`, code of `make`), made by `make(generator)` if there are none yet.

        They depend on key, code and precision alone: `generator` and torch's global generator are seeded from these
        while `make` runs. The code is that of the modules that define `make` and the objects that it captures; see
        `code_hash`. For a method's `lambda generator: self._pretrain(public, run, generator)`, that is the code of the
        method's class, of its base classes, and of the public dataset.

        Args:
            name: the entry's name, e.g. "wavelet-coarse"; becomes part of the file name.
            key: everything else that the tensors depend on: public data fingerprint, configuration, and the
                `weights_hash` of weights that an earlier entry holds.
            make: a function that captures everything it uses; if it uses a plugin chosen in the configuration, it
                captures the plugin's instance.

        Raises:
            PrivacyError: the cache is closed.
            DpbenchError: the entry has to be made and the folder cannot be written, or a source file of `make` is gone.
        """
        import torch
        from safetensors.torch import save

        key = digest([key, code_hash(make), self._precision])
        path, start = self.place(f"{name}-{key}.safetensors"), time.perf_counter()
        if (stored := self._load(path, start)) is not None:
            return stored
        with making(path):
            if (stored := self._load(path, start)) is not None:
                return stored
            start, saved = time.perf_counter(), self.seconds_saved
            with torch.random.fork_rng():
                seed = int(key, 16) % 2**63
                torch.manual_seed(seed)
                made = make(torch.Generator().manual_seed(seed))
            seconds = time.perf_counter() - start + self.seconds_saved - saved  # with entries that `make` loaded
            self._saved.setdefault(path, 0.0)
            tensors = _plain(made)
            write_atomic(path, lambda temporary: temporary.write_bytes(save(tensors, {SECONDS: f"{seconds:.3f}"})))
            return tensors

    def _load(self, path: Path, start: float) -> dict[str, Tensor] | None:
        """An entry that was asked for at `start`; None if there is none, or it is damaged and must be made again."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it cannot be iterated over
                seconds = float((file.metadata() or {}).get(SECONDS, 0))
        except (OSError, SafetensorError):
            return None
        self._saved.setdefault(path, max(0.0, seconds - (time.perf_counter() - start)))
        return tensors


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """A hash of names, shapes, types and values, for the keys of entries that are computed with these weights.

    The configuration of the weights is not enough: weights that are lost and trained again on other hardware differ.
    """
    from safetensors.torch import save

    return hashlib.sha256(save(_plain(state))).hexdigest()


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that share no memory, in the form in which they are stored."""
    import torch

    return {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in state.items()}

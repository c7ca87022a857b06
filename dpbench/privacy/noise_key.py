"""The secret key from which all randomness of a trial's mechanisms is derived, kept until the trial is finished.

Poisson sample, noise and loss seed of release t of a mechanism are a keyed hash of (mechanism, t). A release repeated
after an interruption is therefore the same release, bit for bit, and costs nothing: the second reveals nothing beyond
the first. That holds as long as the release is computed from the same inputs. So the key belongs to an identity (code,
settings, processes), and every query notes the values that it starts from. An attempt that starts from other values is
refused, because two releases with the same noise would reveal their difference.

On a GPU, sums are not reproducible to the last bit. There, a repeated release may differ by rounding from the first
one, which was lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpbench.core.errors import PrivacyError, RunError
from dpbench.core.files import reading, write_text

FILE = "noise.key"

SAME = 1e-3
"""Relative difference up to which values count as the same: above rounding, below another random draw."""


class NoiseKey:
    """256 secret bits, and notes on the queries that drew from them.

    Args:
        secret: 32 bytes; by default from the operating system.
        path: file for the key and its notes, readable by its owner only; None keeps them in memory. Its first line is
            the key, and each further line is a note, [name, value]; all are JSON.
        identity: identity of the code and settings that draw from the key.
        notes: earlier notes.
        reproducible: whether the bits are not secret; the trial's row says so.
    """

    def __init__(
        self,
        secret: bytes | None = None,
        path: Path | None = None,
        identity: str = "",
        notes: dict[str, Any] | None = None,
        reproducible: bool = False,
    ):
        self.secret = secrets.token_bytes(32) if secret is None else secret
        self.identity = identity
        self.reproducible = reproducible
        self._path = path
        self._notes = notes or {}
        self._process = os.getpid()

    @classmethod
    def from_seed(cls, seed: int) -> NoiseKey:
        """A key that anybody can recompute: for tests only."""
        return cls(hashlib.blake2b(str(seed).encode(), digest_size=32).digest(), reproducible=True)

    @classmethod
    def read(cls, path: Path, identity: str) -> NoiseKey | None:
        """The key of an interrupted attempt; None if there is none, or other code or settings drew from it.

        Raises:
            DpbenchError: the file is damaged.
        """
        if not path.exists():
            return None
        stored = _stored(path)
        return stored if stored.identity == identity else None

    @classmethod
    def unused(cls, path: Path) -> NoiseKey | None:
        """The key of an attempt that released nothing, for code and settings of any identity; None if there is none.

        The notes of that attempt do not bind the next one, because nobody has seen any of its values.

        Raises:
            DpbenchError: the file is damaged.
        """
        if not path.exists():
            return None
        stored = _stored(path)
        return cls(stored.secret, path, stored.identity, {}, stored.reproducible)

    def store(self, path: Path, identity: str) -> None:
        """Stores the key in a file from now on.

        Raises:
            DpbenchError: the file cannot be written.
        """
        self._path, self.identity = path, identity
        self._write()

    def seed_of(self, *what: object) -> int:
        """256 pseudorandom bits for `what` (JSON-like), by BLAKE2b with the key."""
        if os.getpid() != self._process:
            raise PrivacyError("a noise key does not cross a fork: two processes would draw the same noise")
        text = json.dumps(what).encode()
        return int.from_bytes(hashlib.blake2b(text, key=self.secret, digest_size=32).digest(), "big")

    def note(self, name: str, value: Any) -> Any:
        """`value` (JSON-like), now stored; or the value that an interrupted attempt stored under this name."""
        if name not in self._notes:
            if self._path is not None:
                _append(self._path, _line(name, value))
            self._notes[name] = value  # once it is stored
        return self._notes[name]

    def starts_from(self, query: str, values: Tensor) -> None:
        """Notes the values that a query starts from, before anything is drawn for it.

        Args:
            query: its name and number.
            values: any shape, such as weights, or contributions of synthetic records.

        Raises:
            PrivacyError: an interrupted attempt started the query from other values.
        """
        shape, now = list(values.shape), _summary(values)
        noted_shape, noted = self.note(query, [shape, now])
        tolerance = SAME * noted[0]
        if noted_shape != shape or any(abs(a - b) > tolerance for a, b in zip(noted, now, strict=True)):
            raise PrivacyError(
                f"{query} starts from other values than in the interrupted attempt; make fit depend on nothing but its "
                "arguments (randomness: run.generator), or run this trial alone with --force, which counts as another "
                "private run"
            )

    def _write(self) -> None:
        assert self._path is not None
        key = {"secret": self.secret.hex(), "identity": self.identity, "reproducible": self.reproducible}
        lines = [json.dumps(key) + "\n", *(_line(name, value) for name, value in self._notes.items())]
        write_text(self._path, "".join(lines), private=True)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise PrivacyError("a noise key cannot be copied: two copies would draw the same noise")


def _stored(path: Path) -> NoiseKey:
    """The key in a file. A last line that was cut off is removed: the release that it was noted for was not made."""
    with reading(path):
        first, *lines = path.read_text(encoding="utf-8").split("\n")
    rest = lines.pop() if lines else ""
    try:
        stored = json.loads(first)
        secret, notes = bytes.fromhex(stored["secret"]), dict(json.loads(line) for line in lines)
        identity, reproducible = stored["identity"], bool(stored["reproducible"])
    except (KeyError, TypeError, ValueError):
        secret = b""
    if len(secret) != 32:
        raise PrivacyError(
            f"{path} is damaged; run this trial alone with --force: it starts over, as another private run"
        )
    key = NoiseKey(secret, path, identity, notes, reproducible)
    if rest:
        key._write()
    return key


def _line(name: str, value: Any) -> str:
    return json.dumps([name, value]) + "\n"


def _append(path: Path, line: str) -> None:
    """Appends a line and flushes it to disk.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def _summary(values: Tensor) -> list[float]:
    """Numbers that distinguish tensors of one shape: the norm, and sums over every k-th element."""
    flat = values.detach().to_dense().double().flatten()
    flat = torch.where(flat.isfinite(), flat, 0)
    return [float(flat.norm()), *(float(flat[::k].sum()) for k in (1, 2, 3, 5, 7))]

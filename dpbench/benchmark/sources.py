"""The images that a command works on. The test split stays closed until something has been sampled."""

from __future__ import annotations

import hmac
import secrets
from functools import cached_property
from pathlib import Path

from filelock import FileLock

from dpbench.benchmark.trial import Source
from dpbench.core.data import DataOptions, Dataset, ImageDataset
from dpbench.core.errors import DpbenchError
from dpbench.data.opening import open_dataset, open_public

KEY_FILE = "fingerprint.key"


class Sources:
    """A sensitive dataset and a public source, opened when they are asked for.

    Args:
        dataset: name of the sensitive dataset.
        public: name of the public source, or None where no method uses one.
        options: resolution and folders.
        cache: folder for the key of undeclared datasets' fingerprints.
    """

    def __init__(self, dataset: str, public: str | None, options: DataOptions, cache: Path):
        self.dataset: Dataset = open_dataset(dataset, options)
        self.spec = self.dataset.spec
        self._public_name = public
        self._options = options
        self._cache = cache

    @cached_property
    def train(self) -> ImageDataset:
        """The sensitive split."""
        return self.dataset.train()

    @cached_property
    def test(self) -> ImageDataset:
        """The test split: for the evaluator, after sampling."""
        return self.dataset.test()

    @cached_property
    def public(self) -> ImageDataset | None:
        """Public images of the sensitive images' shape."""
        return open_public(self._public_name, self.spec, self._options) if self._public_name else None

    @property
    def public_source(self) -> Source | None:
        """The public source's name and fingerprint."""
        return Source(self._public_name, self.public.fingerprint) if self._public_name and self.public else None

    def fingerprint(self, split: ImageDataset) -> str:
        """The split's fingerprint as it may be shown.

        A plain hash would let anybody who guesses a record's content confirm that it is there. So unless the dataset is
        a public benchmark, it is keyed with a secret of this user (rule R9).
        """
        if self.spec.public_benchmark:
            return split.fingerprint
        return hmac.digest(_secret(self._cache / KEY_FILE), split.fingerprint.encode(), "sha256").hex()[:16]


def _secret(path: Path) -> bytes:
    """The user's secret key, made when it is first needed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                path.touch(mode=0o600)
                path.write_bytes(secrets.token_bytes(32))
            return path.read_bytes()
    except OSError as error:
        raise DpbenchError(f"cannot write {path}: {error.strerror or error}") from error

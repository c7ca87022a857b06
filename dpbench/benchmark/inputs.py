"""The datasets of a session: the sensitive one, and the public source. The test split is used only after sampling."""

from __future__ import annotations

import hmac
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from dpbench.benchmark.public_choice import canonical_public, open_sources
from dpbench.core.data import DataOptions, Dataset, ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.files import digest, write_text
from dpbench.core.folders import cache_folder
from dpbench.core.progress import Progress
from dpbench.data.decode_check import check_images
from dpbench.data.fingerprint_key import fingerprint_key
from dpbench.data.opening import open_dataset
from dpbench.data.shared_images import check_apart
from dpbench.results import privacy_record

CHECKED = "checked"
"""Folder in the state folder with an empty file for each split whose images were decoded without an error, and for each
public source that has no image in common with a sensitive split."""


class Source(NamedTuple):
    """Public images that a trial depends on, by name and content."""

    name: str
    fingerprint: str


class Inputs:
    """A sensitive dataset and a public source, opened on first use.

    Args:
        dataset: name of the sensitive dataset.
        public: name of the public source, or several to choose from (see `public_choice`).
        options: resolution and folders.
        state: folder of the user's key and privacy records.
    """

    def __init__(self, dataset: str, public: str, options: DataOptions, state: Path):
        self.dataset: Dataset = open_dataset(dataset, options)
        self.spec = self.dataset.spec
        self._name = dataset
        self._public_name = canonical_public(public)
        self._options = options
        self._state = state

    @cached_property
    def train(self) -> ImageDataset:
        """The sensitive split."""
        return self.dataset.train()

    @cached_property
    def test(self) -> ImageDataset:
        """The test split: for the evaluator, after sampling."""
        return self.dataset.test()

    @cached_property
    def public(self) -> ImageDataset:
        """Public images in the shape of the sensitive images."""
        return open_sources(self._public_name, self.spec, self._options)

    @property
    def public_source(self) -> Source:
        """The public source's name and fingerprint."""
        return Source(self._public_name, self.public.fingerprint)

    def fingerprint(self, split: ImageDataset) -> str:
        """The split's fingerprint, as shown in rows.

        A plain hash would let anybody who guesses a record confirm that it is in the split. So the fingerprint of a
        dataset that is not a public benchmark is keyed with a secret of this user (rule R9).
        """
        return split.fingerprint if self.spec.public_benchmark else self._keyed(split.fingerprint)

    @property
    def record(self) -> Path:
        """The privacy record of the sensitive split: one per content, declared public or not, at all resolutions."""
        return self._state / privacy_record.FOLDER / f"{self._keyed(self.train.content)}.jsonl"

    def check_images(self, progress: Progress, public: bool) -> None:
        """Decodes every image that trials will read, so that damaged files are found before a private run is recorded,
        and checks that no public image is also in the sensitive split.

        Datasets that check their files when a split is opened need no decoding. Each check is made once: the state
        folder notes it under keyed fingerprints. Nothing of the test split is used, and nothing of it is kept except
        the resized copy of a published dataset.

        Args:
            progress: where bars count images.
            public: whether trials read the public source.

        Raises:
            DataError: some images are damaged (the message names the first ones), or both public and sensitive.
        """
        splits = {"train": self.train, "test": self.dataset.test()} if self.dataset.decodes_late else {}
        if public:
            splits["public"] = self.public
        checks = {split.fingerprint: partial(check_images, split, name, progress) for name, split in splits.items()}
        if public:
            both = digest([self.public.fingerprint, self.train.fingerprint])
            checks[both] = partial(check_apart, self.public, self.train, progress)
        for subject, check in checks.items():
            mark = self._state / CHECKED / self._keyed(subject)
            if not mark.exists():
                check()
                write_text(mark, "")

    def check_fingerprint(self, expected: str) -> None:
        """Checks that the sensitive split has the images that a trial was specified for.

        Raises:
            DataError: it has other images.
        """
        found = self.fingerprint(self.train)
        if found != expected:
            raise DataError(
                f"'{self._name}' has the fingerprint {found}, not {expected}: these are other images, or another "
                "user's undeclared ones; --data sets the folder of datasets"
            )

    def check_unchanged(self, expected: str) -> None:
        """Reads the sensitive split's files again, and checks that they did not change while a trial used them.

        Args:
            expected: `fingerprint(train)` when the trial started.

        Raises:
            DataError: they changed, or are missing.
        """
        now = self.fingerprint(open_dataset(self._name, replace(self._options, download=False)).train())
        if now != expected:
            raise DataError(
                f"'{self._name}' changed while a trial learned from it (the fingerprint of train was {expected} and is "
                f"now {now}): nothing of the trial is kept; run it again on files that do not change"
            )

    def _keyed(self, fingerprint: str) -> str:
        key = fingerprint_key(self._state, cache_folder())
        return hmac.digest(key, fingerprint.encode(), "sha256").hex()[:16]

"""Opens datasets by their names on the command line: "mnist", "shapes:0.5", "folder:PATH".

This module imports no torch, so that commands which only need what a dataset declares start fast.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from dpbench.core.data import DataOptions, Dataset, ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.registries import DATASETS
from dpbench.core.specs import DatasetSpec

if TYPE_CHECKING:
    from dpbench.data.external.generated import Generated


def default_root() -> Path:
    """The data folder: the environment's DPBENCH_DATA, or else a folder in the user's cache."""
    chosen = os.environ.get("DPBENCH_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("dpbench") / "data"


def open_dataset(name: str, options: DataOptions) -> Dataset:
    """The dataset called `name`, "plugin" or "plugin:argument". A named dataset reads no file yet.

    Raises:
        UnknownName: no plugin has that name.
        DataError: the plugin cannot take the argument or the options.
    """
    plugin, _, argument = name.partition(":")
    return DATASETS.get(plugin)(argument, options)


def open_public(name: str, like: DatasetSpec, options: DataOptions) -> ImageDataset:
    """The train split of a public source, in the shape of the sensitive images: grey by luminance, colour by repeating.

    Args:
        name: the public source; any dataset will do.
        like: what the sensitive dataset declares.
        options: as for `open_dataset`; the resolution is taken from `like`.

    Raises:
        UnknownName: no plugin has that name.
        DataError: it is the sensitive dataset itself or shares images with it, or its files are missing or damaged.
    """
    if _overlap(name, like.name):
        raise DataError(
            f"'{name}' overlaps with the sensitive dataset '{like.name}'; "
            "the same dataset is never both public and sensitive"
        )
    public = open_dataset(name, replace(options, resolution=like.resolution)).train()
    given = public.spec.channels
    if given == like.channels:
        return public
    from dpbench.data.arrays import Converted
    from dpbench.data.pixels import RECOLOUR

    return Converted(public, replace(public.spec, channels=like.channels), RECOLOUR[given, like.channels], "recolour")


def _overlap(one: str, other: str) -> bool:
    # Whether two names lead to some of the same images.
    (plugin, _, argument), (other_plugin, _, other_argument) = one.partition(":"), other.partition(":")
    return plugin == other_plugin and DATASETS.get(plugin).overlap(argument, other_argument)


def open_generated(path: Path, spec: DatasetSpec) -> Generated:
    """Images that another program made to imitate a dataset: a folder or zip of image files, or an .npz file.

    Raises:
        DataError: nothing lies at the path, or nothing that can be read.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give a folder of images, a zip of one, or an .npz file")
    from dpbench.data.external.generated_arrays import GeneratedArrays
    from dpbench.data.external.generated_files import GeneratedFiles

    return (GeneratedArrays if path.suffix.lower() == ".npz" and path.is_file() else GeneratedFiles)(path, spec)

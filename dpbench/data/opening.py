"""Opens datasets by their names on the command line: "mnist", "grained:0.5", "folder:PATH".

This module does not import torch, so that commands that only need a dataset's declaration start fast.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dpbench.core.data import DataOptions, Dataset, ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.folders import cache_folder, expanded, nested
from dpbench.core.registries import DATASETS
from dpbench.core.seal import share_images
from dpbench.core.specs import DatasetSpec

if TYPE_CHECKING:
    from dpbench.data.external.generated import Generated


def default_root() -> Path:
    """The default data folder: DPBENCH_DATA from the environment, or else `data/` in the cache folder."""
    chosen = os.environ.get("DPBENCH_DATA")
    return expanded(Path(chosen)) if chosen else cache_folder() / "data"


HOLDOUT = "holdout:"
"""The prefix of a hold-out's name; the name of the whole dataset follows."""


def whole_name(name: str) -> str:
    """The name of the whole dataset of a hold-out; other names stay as they are."""
    return name.removeprefix(HOLDOUT)


def open_dataset(name: str, options: DataOptions) -> Dataset:
    """The dataset called `name`, "plugin" or "plugin:argument". No file is read yet.

    Raises:
        UnknownName: no plugin has that name.
        DataError: the plugin does not support the argument or the options.
    """
    plugin, _, argument = name.partition(":")
    return DATASETS.get(plugin)(argument, options)


def canonical_name(name: str) -> str:
    """The canonical name of a dataset, as some can be written in several ways; unknown names stay as they are."""
    plugin, _, argument = name.partition(":")
    if not argument or plugin not in DATASETS.names():
        return name
    canonical = DATASETS.get(plugin).canonical(argument)
    return f"{plugin}:{canonical}" if canonical else plugin


def open_public(name: str, like: DatasetSpec, options: DataOptions) -> ImageDataset:
    """The train split of a public source in the shape of the sensitive images.

    Colour is converted to grey by luminance, grey to colour by repeating the channel.

    Args:
        name: name of the public source; any dataset except the sensitive one.
        like: declaration of the sensitive dataset.
        options: as for `open_dataset`, except that the resolution is that of `like`.

    Raises:
        UnknownName: no plugin has that name.
        DataError: it is the sensitive dataset or overlaps with it, or its files are missing or damaged.
    """
    if overlapping(name, like.name):
        raise DataError(
            f"'{name}' overlaps with the sensitive dataset '{like.name}'; "
            "the same dataset is never both public and sensitive"
        )
    _check_folders(name, like.name, options)
    public = open_dataset(name, replace(options, resolution=like.resolution)).train()
    given = public.spec.channels
    if given == like.channels:
        return public
    from dpbench.data.arrays import Converted
    from dpbench.data.pixels import RECOLOUR

    return Converted(public, replace(public.spec, channels=like.channels), RECOLOUR[given, like.channels], "recolour")


def _check_folders(public: str, sensitive: str, options: DataOptions) -> None:
    """Checks that the files of neither dataset are in the folder of the other.

    Raises:
        DataError: they are, as when `folder:DATA/mnist` is read beside `mnist`.
    """
    if sensitive.partition(":")[0] not in DATASETS.names():
        return  # images of a Python program
    one, other = (open_dataset(name, options).origin.folder for name in (public, sensitive))
    if nested(one, other):
        raise DataError(
            f"the public source '{public}' and the sensitive dataset '{sensitive}' read the same folder ({one} and "
            f"{other}), so they may share images; choose another source, or move the files"
        )


def overlapping(one: str, other: str) -> bool:
    """Whether two named datasets share images. A hold-out overlaps with every dataset that its whole overlaps with."""
    parts = (whole_name(name).partition(":") for name in (one, other))
    (plugin, _, argument), (other_plugin, _, other_argument) = parts
    if not {plugin, other_plugin} <= {*DATASETS.names()}:
        return False
    return share_images(DATASETS.get(plugin), argument, DATASETS.get(other_plugin), other_argument)


def open_generated(path: Path, spec: DatasetSpec) -> Generated:
    """Images from another program that imitate a dataset: a folder or zip of image files, or an .npz file.

    Raises:
        DataError: the path does not exist or cannot be read.
    """
    if not os.path.exists(path):  # pathlib raises an error for a path that is too long
        raise DataError(f"{path} does not exist; give a folder of images, a zip of one, or an .npz file")
    from dpbench.data.external.generated_arrays import GeneratedArrays
    from dpbench.data.external.generated_files import GeneratedFiles

    return (GeneratedArrays if path.suffix.lower() == ".npz" and path.is_file() else GeneratedFiles)(path, spec)

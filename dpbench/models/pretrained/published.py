"""Pretrained weights by name: what they are, where they lie, and that they are what they say.

Nothing here downloads: see `models.pretrained.downloads` and `dpbench weights get`. Hashes are those that the
publishers state (torch hub names carry the first 8 digits) or that several public projects pin independently.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dpbench.core.errors import DataError, NotInstalled, UnknownName
from dpbench.core.folders import cache_folder

READ = 2**22  # bytes hashed at a time
CLEAN_FID = Path("/tmp")  # where clean-fid keeps its Inception


@dataclass(frozen=True)
class File:
    """One published file.

    Attributes:
        name: as published, below the folder of its repository where it has one; unique among all weights.
        url: where it is downloaded from.
        sha256: hexadecimal; only the first digits where no more is known.
        size: bytes.
    """

    name: str
    url: str
    sha256: str
    size: int

    @property
    def short(self) -> str:
        """The name without its folder."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Weights:
    """The files of one pretrained network.

    Attributes:
        files: the one with the parameters first.
        unlocks: what can be computed with them.
        source: who published them, under which licence.
    """

    files: tuple[File, ...]
    unlocks: str
    source: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def _torchvision(name: str, sha256: str, size: int) -> File:
    return File(name, f"https://download.pytorch.org/models/{name}", sha256, size)


def _hub(repository: str, revision: str, name: str, sha256: str, size: int) -> File:
    url = f"https://huggingface.co/{repository}/resolve/{revision}/{name}"
    return File(f"{repository.partition('/')[2]}/{name}", url, sha256, size)


_CLIP = ("openai/clip-vit-large-patch14-336", "ce19dc912ca5cd21c8a653c79e251e808ccabcd1")
_TOKENS = ("openai/clip-vit-base-patch32", "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268")  # all CLIPs have the same
_DINOV2 = ("facebook/dinov2-large", "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c")

WEIGHTS: dict[str, Weights] = {
    "inception": Weights(
        (
            File(
                "inception-2015-12-05.pt",
                "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
                "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
                95_607_719,
            ),
        ),
        "extractor inception: FID, KID, IS",
        "NVIDIA's TorchScript of TensorFlow's InceptionV3 of 2015-12-05, Apache-2.0",
    ),
    "clip": Weights(
        (
            _hub(
                *_CLIP,
                "pytorch_model.bin",
                "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
                1_711_974_081,
            ),
            _hub(*_CLIP, "config.json", "51b1c14aabcdf639c4a0370eeda1010b773bbe1df78319c7d0f5882c22ac0ac0", 4_757),
            _hub(*_TOKENS, "vocab.json", "5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363", 862_328),
            _hub(*_TOKENS, "merges.txt", "f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85", 524_657),
        ),
        "extractor clip: CMMD, CLIP-FID, CLIP score; needs dpbench[hub]",
        "OpenAI's CLIP ViT-L/14 at 336 pixels, MIT",
    ),
    "dinov2": Weights(
        (
            _hub(
                *_DINOV2,
                "model.safetensors",
                "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
                1_217_522_888,
            ),
            _hub(*_DINOV2, "config.json", "12df51c069a2dc1305e34ba71ef58bc2407ea553b75f4722a1715c1bce3bbed0", 549),
        ),
        "extractor dinov2: FD-DINOv2; needs dpbench[hub]",
        "Meta's DINOv2 ViT-L/14, Apache-2.0",
    ),
    "vgg": Weights(
        (_torchvision("vgg19-dcbb9e9d.pth", "dcbb9e9d", 574_673_361),),
        "metric gram: distance of VGG Gram matrices",
        "torchvision's VGG-19 IMAGENET1K_V1, BSD-3-Clause",
    ),
    "lpips": Weights(
        (
            _torchvision(
                "alexnet-owt-7be5be79.pth",
                "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
                244_408_911,
            ),
        ),
        "metric lpips: diversity by LPIPS; needs dpbench[hub], which has the linear heads",
        "torchvision's AlexNet IMAGENET1K_V1, BSD-3-Clause",
    ),
}


def named(name: str) -> Weights:
    """The weights called `name`.

    Raises:
        UnknownName: there are none; the nearest names are offered.
    """
    if name not in WEIGHTS:
        raise UnknownName("weights", name, WEIGHTS)
    return WEIGHTS[name]


def locate(name: str) -> dict[str, Path]:
    """The files of the weights called `name`: short name -> path, each checked against its hash.

    Raises:
        UnknownName: there are no weights of that name.
        NotInstalled: a file is not here.
        DataError: a file that is here is not the published one.
    """
    found = {file: find(file) for file in named(name).files}
    paths = {file: path for file, path in found.items() if path is not None}
    if len(paths) < len(found):
        raise NotInstalled(f"weights '{name}' are not here; `dpbench weights get {name}`")
    for file, path in paths.items():
        if not intact(path, file):
            raise DataError(
                f"{path} is damaged or other weights than '{name}' (its SHA-256 begins with {sha256(path)[:12]}, not "
                f"{file.sha256[:12]}); delete it and run `dpbench weights get {name}`"
            )
    return {file.short: path for file, path in paths.items()}


def fingerprint(name: str) -> str:
    """The first 12 digits of the SHA-256 of the file with the parameters.

    Raises:
        As `locate`.
    """
    return sha256(locate(name)[named(name).files[0].short])[:12]


@contextmanager
def gathered(name: str) -> Iterator[Path]:
    """The files of the weights called `name` together in one folder, for libraries that load from folders.

    Raises:
        As `locate`.
    """
    paths = locate(name)
    with tempfile.TemporaryDirectory(prefix="dpbench-weights-") as folder:
        for short, path in paths.items():
            Path(folder, short).symlink_to(path.resolve())
        yield Path(folder)


def find(file: File) -> Path | None:
    """Where a file lies, unchecked: the first of `places` that has it."""
    return next((path for path in places(file) if path.is_file()), None)


def places(file: File) -> list[Path]:
    """Where a file is looked for, in this order.

    `DPBENCH_WEIGHTS`, dpbench's own cache, torch hub's checkpoints, the folder of clean-fid, the Hugging Face hub's
    cache.
    """
    chosen = os.environ.get("DPBENCH_WEIGHTS")
    folders = [Path(chosen).expanduser()] if chosen else []
    folders += [own_folder(), _torch_hub(), CLEAN_FID]
    return [folder / file.name for folder in folders] + _hub_cache(file)


def own_folder() -> Path:
    """Where `dpbench weights get` puts files."""
    return cache_folder() / "weights"


def _torch_hub() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser() / "hub" / "checkpoints"


def _hub_cache(file: File) -> list[Path]:
    published = re.fullmatch(r"https://huggingface\.co/([^/]+)/([^/]+)/resolve/([^/]+)/(.+)", file.url)
    if published is None:
        return []
    owner, repository, revision, name = published.groups()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(os.environ.get("HF_HOME") or cache / "huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    return [hub / f"models--{owner}--{repository}" / "snapshots" / revision / name]


def intact(path: Path, file: File) -> bool:
    """Whether the content of `path` is that of the published file."""
    return sha256(path).startswith(file.sha256)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits; read once per process unless its size or time of change differs."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed: int) -> str:
    found = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(READ):
            found.update(block)
    return found.hexdigest()

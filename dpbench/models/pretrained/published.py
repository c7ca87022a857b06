"""Pretrained weights by name: published files, addresses, sizes, hashes and uses.

Downloads are in `models.pretrained.downloads`. The hashes are stated by the publishers or pinned independently by
several public projects.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpbench.core.errors import UnknownName


@dataclass(frozen=True)
class Repository:
    """A Hugging Face repository at a fixed revision."""

    name: str
    revision: str


@dataclass(frozen=True)
class File:
    """One published file.

    Attributes:
        name: published file name, unique among all weights; a hub file is prefixed with its repository's name.
        url: address of the file.
        sha256: 64 hexadecimal digits.
        size: size in bytes.
        repository: the Hugging Face repository of the file, if any.
    """

    name: str
    url: str
    sha256: str
    size: int
    repository: Repository | None = None

    @property
    def short(self) -> str:
        """The name without its folder."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Weights:
    """The files of one pretrained network.

    Attributes:
        files: all files; the parameter file is the first.
        unlocks: metrics, extractors or refiners that need these weights.
        source: publisher and licence.
    """

    files: tuple[File, ...]
    unlocks: str
    source: str

    @property
    def size(self) -> int:
        """Total size of the files in bytes."""
        return sum(file.size for file in self.files)


def _torchvision(name: str, sha256: str, size: int) -> File:
    return File(name, f"https://download.pytorch.org/models/{name}", sha256, size)


def _hub(repository: Repository, name: str, sha256: str, size: int) -> File:
    url = f"https://huggingface.co/{repository.name}/resolve/{repository.revision}/{name}"
    return File(f"{repository.name.partition('/')[2]}/{name}", url, sha256, size, repository)


_CLIP = Repository("openai/clip-vit-large-patch14-336", "ce19dc912ca5cd21c8a653c79e251e808ccabcd1")
_TOKENS = Repository(
    "openai/clip-vit-base-patch32", "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
)  # shared by all CLIP models
_DINOV2 = Repository("facebook/dinov2-large", "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c")

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
    "pytorch-fid": Weights(
        (
            File(
                "pt_inception-2015-12-05-6726825d.pth",
                "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
                "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
                95_628_359,
            ),
        ),
        "extractor pytorch-fid: DPImageBench's FID, precision, recall, IS, FLD",
        "pytorch-fid's port of TensorFlow's InceptionV3 of 2015-12-05, Apache-2.0",
    ),
    "clip": Weights(
        (
            _hub(
                _CLIP,
                "pytorch_model.bin",
                "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
                1_711_974_081,
            ),
            _hub(_CLIP, "config.json", "51b1c14aabcdf639c4a0370eeda1010b773bbe1df78319c7d0f5882c22ac0ac0", 4_757),
            _hub(_TOKENS, "vocab.json", "5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363", 862_328),
            _hub(_TOKENS, "merges.txt", "f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85", 524_657),
        ),
        "extractor clip: CMMD, CLIP score; needs dpbench[hub]",
        "OpenAI's CLIP ViT-L/14 at 336 pixels, MIT",
    ),
    "dinov2": Weights(
        (
            _hub(
                _DINOV2,
                "model.safetensors",
                "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
                1_217_522_888,
            ),
            _hub(_DINOV2, "config.json", "12df51c069a2dc1305e34ba71ef58bc2407ea553b75f4722a1715c1bce3bbed0", 549),
        ),
        "extractor dinov2: FD-DINOv2, FLD; needs dpbench[hub]",
        "Meta's DINOv2 ViT-L/14, Apache-2.0",
    ),
    "vgg": Weights(
        (
            _torchvision(
                "vgg19-dcbb9e9d.pth",
                "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
                574_673_361,
            ),
        ),
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
    "realesrgan-x4plus": Weights(
        (
            File(
                "RealESRGAN_x4plus.pth",
                "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.0/RealESRGAN_x4plus.pth",
                "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
                67_040_989,
            ),
        ),
        "refiner pretrained: super-resolution of photographs; needs dpbench[sr]",
        "Real-ESRGAN's generator RRDBNet x4plus (arXiv 2107.10833), BSD-3-Clause",
    ),
}


def named(name: str) -> Weights:
    """The weights with this name.

    Raises:
        UnknownName: there are no such weights; the message suggests similar names.
    """
    if name not in WEIGHTS:
        raise UnknownName("weights", name, WEIGHTS)
    return WEIGHTS[name]

"""Settings with which each registered plugin runs in a second or two. A new plugin needs one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from captioned_scenes import captioned_scenes
from dataset_files import draw_characters, paint_pets, write_cifar, write_idx
from dataset_layouts import (
    FACES,
    declare,
    hashed,
    write_batches,
    write_camelyon,
    write_celeba,
    write_celeba_hq,
    write_coco,
    write_emnist,
    write_eurosat,
    write_imagenet,
    write_mm_celeba,
    write_places,
)

from dpbench.data.sets.coco import COUNTS
from dpbench.metrics.accuracy import DownstreamAccuracy
from dpbench.metrics.accuracy_paper import PublishedAccuracy
from dpbench.metrics.caption_fidelity import CaptionFidelity

DIFFUSION = {
    "channels": (8,), "patch": 4, "batch": 50, "steps": 2, "clip": 0.3, "micro_batch": 50, "sampling_steps": 2,
}  # fmt: skip

LATENT = {
    "autoencoder_channels": (8, 8), "latent_channels": 2, "autoencoder_steps": 2, "autoencoder_batch": 16,
    "channels": (8,), "attention": 1, "context": 8, "public_steps": 2, "public_batch": 16, "batch": 50, "steps": 2,
    "micro_batch": 50, "sampling_steps": 2,
}  # fmt: skip
GAN = {"generator_channels": (8,), "discriminator_channels": (8,), "embedding": 4, "generator_batch": 16}

METHODS: dict[str, dict[str, Any]] = {
    "wavelet": {
        "levels": 1, "codes": 16, "detail_codes": 16, "code_dim": 8, "tokenizer_dim": 16, "tokenizer_heads": 2,
        "tokenizer_depth": 1, "tokenizer_steps": 2, "tokenizer_batch": 32, "dim": 16, "depth": 1, "heads": 2,
        "public_steps": 2, "public_batch": 32, "batch": 50, "steps": 2, "refiner.steps": 2, "refiner.width": 8,
        "refiner.depth": 1,
    },
    "dp-ar": {
        "codes": 16, "code_dim": 8, "tokenizer_dim": 16, "tokenizer_depth": 1, "tokenizer_steps": 2,
        "tokenizer_batch": 32, "dim": 16, "depth": 1, "heads": 2, "public_steps": 2, "public_batch": 32, "batch": 50,
        "steps": 2,
    },
    "dp-merf": {"features": 100, "steps": 3, "batch": 20},
    "dp-ntk": {"hidden": 8, "steps": 3, "batch": 20},
    "dp-kernel": {"releases": 2, "steps": 4, "batch": 20},
    "central-wavelet": {"refiner.steps": 2, "refiner.width": 8, "refiner.depth": 1},
    "dp-sgd": DIFFUSION | {"public_steps": 2, "public_batch": 32},
    "privimage": DIFFUSION
    | {
        "votes": 1, "classifier_steps": 2, "classifier_batch": 16,
        "public_steps": 2, "public_batch": 16, "selected_steps": 2,
    },
    "dpdm": DIFFUSION | {"views": 2, "label_dropout": 0.1, "guidance": 2},
    "dp-ldm": LATENT,
    "dp-lora": LATENT | {"rank": 2, "select": "saliency", "views": 2},
    "dp-feta": DIFFUSION | {"warmup_steps": 2, "warmup_batch": 16},
    "dp-feta-pro": DIFFUSION | {
        "warmup_steps": 2, "warmup_batch": 16, "features": 100, "generator_steps": 2, "generator_batch": 20,
        "generated_images": 40, "generated_steps": 2, "generated_batch": 16,
    },
    "dp-gan": GAN | {"batch": 50, "steps": 2, "clip": 0.3, "micro_batch": 50},
    "dp-rdm": {
        "channels": (8,), "patch": 4, "sampling_steps": 2, "public_steps": 2, "public_batch": 16, "pool": 40,
        "components": 4, "queries": 3, "rate": 0.5, "neighbours": 5,
    },
    "dpagg-ti": {
        "channels": (8,), "patch": 4, "sampling_steps": 2, "public_steps": 2, "public_batch": 16, "condition": 4,
        "inversion_steps": 2,
    },
    "gs-wgan": GAN | {"shards": 3, "steps": 2, "trained": 2, "critic_warmup": 1, "critic_steps": 1, "critic_batch": 8},
    "pe": {"population": 10, "iterations": 2, "votes": 2, "lookahead": 1, "generator.name": "nearest"},
}  # fmt: skip

REFINERS: dict[str, dict[str, Any]] = {
    "bicubic": {},
    "regression": {"steps": 2, "width": 8, "depth": 1, "batch": 16},
    "adversarial": {"steps": 2, "width": 8, "depth": 1, "batch": 16, "critic_width": 8},
    "residual": {"steps": 2, "channels": (8,), "batch": 16, "sampling_steps": 2},
    "pretrained": {},
    "diffusers": {"sampling_steps": 2},
    "sr-diffusion": {"steps": 2, "channels": (8,), "batch": 16, "sampling_steps": 2, "width": 8, "depth": 1},
    "guided-prior": {"steps": 2, "channels": (8,), "batch": 16, "sampling_steps": 2},
    "one-step": {"steps": 2, "channels": (8,), "batch": 16},
    "memory": {"steps": 2, "width": 8, "depth": 1, "batch": 16, "entries": 50},
    "plug-and-play": {"steps": 2, "width": 8, "depth": 1, "batch": 16, "iterations": 2},
    "deep-prior": {"iterations": 3, "fits": 2, "width": 4, "variances": 2},
    "burst": {"steps": 2, "width": 8, "depth": 1, "batch": 16},
}

GENERATORS: dict[str, dict[str, Any]] = {
    "glyphs": {"characters": "+-"},
    "polygons": {},
    "nearest": {"neighbours": 50},
    "diffusion": {"steps": 20, "batch": 16, "channels": (8,), "sampling_steps": 4, "augmentation": "none"},
    "composite": {"first.name": "nearest", "second.name": "nearest", "second.neighbours": 20, "switch": 0.5},
    "img2img": {"sampling_steps": 4, "size": 16, "guidance": 1.0, "batch": 12},
    "captions": {
        "steps": 60, "batch": 32, "lr": 3e-3, "channels": (16,), "sampling_steps": 6, "text_tokens": 4, "text.dim": 16,
        "context": 16,
    },
    "text-to-image": {"sampling_steps": 4, "size": 16, "guidance": 3.0, "batch": 12},
}  # fmt: skip

GENERATOR_WEIGHTS: dict[str, dict[str, str]] = {
    "img2img": {"pipeline": "image pipeline"},
    "text-to-image": {"pipeline": "captioned pipeline"},
}
"""Setting of a generator -> the weights in it, as `made` of conftest names them."""

REFINER_WEIGHTS: dict[str, dict[str, str]] = {
    "pretrained": {"weights": "upscaler"},
    "diffusers": {"pipeline": "upscaling pipeline"},
}
"""Setting of a refiner -> the weights in it, as `made` of conftest names them."""


def _declare_few(plugin: Any, root: Path, patch: pytest.MonkeyPatch) -> None:
    """Has a generated dataset generate a few images only."""
    patch.setattr(plugin, "n_train", 20)
    patch.setattr(plugin, "n_test", 10)


def _write(write: Callable[[Path], object], train: int, test: int) -> Callable[[Any, Path, pytest.MonkeyPatch], Any]:
    """Writes a published dataset's files, and has its plugin declare as many records."""

    def apply(plugin: Any, root: Path, patch: pytest.MonkeyPatch) -> None:
        write(root)
        declare(plugin, patch, train, test)

    return apply


def _write_coco(plugin: Any, root: Path, patch: pytest.MonkeyPatch) -> None:
    write_coco(root)
    patch.setitem(COUNTS, "2017", (3, 2))


def _write_eurosat(plugin: Any, root: Path, patch: pytest.MonkeyPatch) -> None:
    declare(plugin, patch, *hashed(write_eurosat(root)))


def _write_batches(plugin: Any, root: Path, patch: pytest.MonkeyPatch) -> None:
    write_batches(plugin, root)
    declare(plugin, patch, 30, 4)


DATASETS: dict[str, Callable[[Any, Path, pytest.MonkeyPatch], Any]] = {
    "shapes": _declare_few,
    "grained": _declare_few,
    "figures": _declare_few,
    "textures": _declare_few,
    "pictograms": _declare_few,
    "drawings": _declare_few,
    "scenes": _declare_few,
    "still-lifes": _declare_few,
    "mnist": write_idx,
    "fashion-mnist": write_idx,
    "cifar10": write_cifar,
    "cifar100": write_cifar,
    "omniglot": lambda plugin, root, patch: draw_characters(root / "omniglot"),
    "emnist": lambda plugin, root, patch: write_emnist(root, patch),
    "coco": _write_coco,
    "mm-celeba-hq": _write(lambda root: write_mm_celeba(root, {"train": ["4", "0", "3"], "test": [1, 2]}), 3, 2),
    "celeba": _write(write_celeba, 14, 13),
    "celeba-hq": _write(write_celeba_hq, *hashed([f"{i}.jpg" for i in range(FACES)])),
    "eurosat": _write_eurosat,
    "camelyon17": _write(write_camelyon, 9, 4),
    "imagenet32": _write_batches,
    "imagenet64": _write_batches,
    "imagenet": _write(write_imagenet, 12, 6),
    "places365": _write(write_places, 9, 3),
    "folder": lambda plugin, root, patch: paint_pets(root / "pets"),
    "holdout": lambda plugin, root, patch: paint_pets(root / "pets"),
}
"""What makes a dataset small: (plugin, data folder, monkeypatch) -> None."""


METRICS: dict[str, dict[str, Any]] = {
    "fid": {"by_chance": ("fid_inf",)},
    "fid-train": {"by_chance": ("fid_train_inf",)},
    "fd-dinov2": {"by_chance": ("fd_dinov2_inf",)},
    "kid": {},
    "cmmd": {},
    "inception-score": {"unranked": ("inception_score",), "by_chance": ("inception_score",)},
    "prdc": {},
    "classifier-prdc": {
        "unranked": ("precision_classifier",),  # of a classifier of 20 steps, noise can have 1, too
        "by_chance": ("fd_classifier_inf",),
    },
    "fld": {},
    "fwd": {"by_chance": ("fwd_inf",)},
    "scales": {"by_chance": ("fd_coarse_inf", "fd_detail2_inf", "fd_detail1_inf")},
    "accuracy": {"by_chance": tuple(c.name for c in DownstreamAccuracy.columns)},
    "accuracy-paper": {"by_chance": tuple(c.name for c in PublishedAccuracy.columns)},
    "label-fidelity": {},
    "gram": {},
    "lpips": {"by_chance": ("lpips",)},
    "clip-score": {"unranked": ("clip_score",)},
    "caption-fidelity": {
        "images": captioned_scenes,
        "unranked": tuple(c.name for c in CaptionFidelity.columns),  # a judge of 20 steps finds nothing
        "by_chance": ("caption_fidelity_shuffled",),
    },
    "style": {},
    "texture": {},
    "spectrum": {},
    "memorisation": {"by_chance": ("membership",)},
    "dpimagebench-fid": {},
    "dpimagebench-inception-score": {"unranked": ("dpimagebench_inception_score",)},
    "dpimagebench-precision-recall": {},
    "dpimagebench-fld": {},
    "dpimagebench-image-reward": {"unranked": ("dpimagebench_image_reward",)},
}
"""Attributes of `MetricCase`. Weights are random, so that what they recognise ranks nothing."""

EXTRACTORS: dict[str, str] = {
    "wavelet-packet": "",
    "fourier-magnitude": "",
    "classifier": "",
    "inception": "inception",
    "pytorch-fid": "pytorch-fid",
    "clip": "clip",
    "dinov2": "dinov2",
    "style": "",
    "texture": "",
    "spectrum": "",
}
"""The weights that an extractor needs, as `made` of conftest names them."""


def entry(table: Mapping[str, Any], name: str) -> Any:
    """A plugin's line of a table above; fails the test where there is none."""
    assert name in table, f"no tiny settings for '{name}': add one line to tests/contracts/tiny.py"
    return table[name]

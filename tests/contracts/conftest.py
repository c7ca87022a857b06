"""Random weights, and short training of classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import made_weights
import numpy as np
import pytest
from image_fixtures import publish
from PIL import Image
from short_recipes import shorten
from tiny_image_pipelines import save_captioned_pipeline, save_image_pipeline
from tiny_upscalers import save_network, save_upscaler

from dpbench.metrics import gram, image_reward
from dpbench.metrics.classifiers import dpimagebench, quick

__all__ = ["publish"]

MAKE = {
    "vgg": made_weights.make_vgg,
    "lpips": made_weights.make_alexnet,
    "clip": made_weights.make_clip,
    "dinov2": made_weights.make_dinov2,
    "inception": made_weights.make_inception,
    "pytorch-fid": made_weights.make_inception,
    "upscaler": lambda folder: save_network(folder / "upscaler.safetensors"),
    "upscaling pipeline": save_upscaler,
    "image pipeline": save_image_pipeline,
    "captioned pipeline": save_captioned_pipeline,
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """made(name) -> the file or folder of random weights; they are made once."""
    once = cache(lambda make: make(tmp_path_factory.mktemp("made")))
    return lambda name: once(MAKE[name])


class Reward:
    """Rewards bright images, in place of ImageReward."""

    def score(self, prompt: str, images: Sequence[Image.Image]) -> list[float]:
        return [float(np.mean(image)) for image in images]


@pytest.fixture
def quick_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classifiers train for a few steps, the smallest one in place of the large published ones; VGG sees 32 pixels.

    ImageReward is a stand-in.
    """
    monkeypatch.setattr(image_reward, "load_model", lambda device: Reward())
    monkeypatch.setitem(image_reward.PROMPTS, "bars", ("horizontal", "vertical"))
    monkeypatch.setattr(gram, "SMALLEST", 32)
    shorten(monkeypatch, 20, batch=16)
    monkeypatch.setattr(dpimagebench, "RECIPE", quick.RECIPE)
    monkeypatch.setattr(dpimagebench, "NETWORKS", dict.fromkeys(dpimagebench.NETWORKS, quick.NETWORKS["cnn"]))

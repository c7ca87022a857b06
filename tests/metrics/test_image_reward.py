"""ImageReward of class prompts, with a stand-in for the package: it rewards bright images, and long prompts."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dpbench.core.registries import DATASETS
from dpbench.evaluation.evaluator import evaluate
from dpbench.metrics import image_reward
from dpbench.metrics.image_reward import PROMPTS

METRIC, COLUMN = "dpimagebench-image-reward", "dpimagebench_image_reward"


class Model:
    def score(self, prompt, images):
        assert not torch.is_grad_enabled()
        assert {image.mode for image in images} == {"RGB"}
        rewards = [np.asarray(image).mean() + len(prompt) for image in images]
        return rewards if len(rewards) > 1 else rewards[0]  # as the package


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def load(weights, device, med_config):
        assert [Path(weights).name, Path(med_config).name] == ["ImageReward.pt", "med_config.json"]
        return Model()

    monkeypatch.setitem(sys.modules, "ImageReward", SimpleNamespace(load=load))
    monkeypatch.setattr(image_reward, "FOLDER", tmp_path)
    monkeypatch.setattr(image_reward, "BATCH", 8)
    for name in image_reward.FILES:
        (tmp_path / name).touch()


@pytest.fixture
def score(make_images, noise, run):
    images = noise(21, size=28)

    def make(name: str = "mnist", classes: int = 10):
        x = make_images(images, torch.arange(21) % classes if classes else None, classes)
        return evaluate([METRIC], x, make_images(noise(4, size=28, seed=1), name=name), run)

    return make


def test_every_image_is_scored_with_the_prompt_of_its_class(installed, score, noise) -> None:
    lengths = [len(PROMPTS["mnist"][k % 10]) for k in range(21)]
    expected = noise(21, size=28).float().mean() + np.mean(lengths)
    assert score().values[COLUMN] == pytest.approx(float(expected))


def test_prompts_are_in_the_order_of_classes() -> None:
    for dataset, prompts in PROMPTS.items():
        classes = DATASETS.get(dataset).classes
        assert len(prompts) == len(classes)
        for name, prompt in zip(classes, prompts, strict=True):
            assert name.replace("-", " ") in prompt.lower().replace("-", " ")


def test_without_the_package_weights_prompts_or_labels_the_cell_says_so(
    installed, score, monkeypatch, tmp_path: Path
) -> None:
    assert score("kitchens").missing[COLUMN] == "DPImageBench has no prompts for the classes of kitchens"
    assert score(classes=0).missing[COLUMN] == "the synthetic images have no labels to choose prompts by"
    (tmp_path / "ImageReward.pt").unlink()
    assert score().missing[COLUMN].startswith("the weights of ImageReward are not installed; put ImageReward.pt and")
    monkeypatch.setitem(sys.modules, "ImageReward", None)
    assert score().missing[COLUMN].startswith("ImageReward is not installed; its import fails with: ")

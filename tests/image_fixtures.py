"""Fixtures of the tests of metrics and of evaluation: small sets of images in memory, and a run without progress."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_weights import make_clip
from temporary import temporary
from torch import Tensor

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.metric import Extractor
from dpbench.core.registries import EXTRACTORS
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.evaluation.evaluator import evaluate
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.features import Features, write_features
from dpbench.evaluation.score_protocol import code_note
from dpbench.evaluation.scores import Scores
from dpbench.evaluation.shared import SharedEvaluation
from dpbench.models.pretrained import finding
from dpbench.models.pretrained.published import WEIGHTS

MakeImages = Callable[..., ImageDataset]


class InMemory(ImageDataset):
    def __init__(self, images: Tensor, labels: Tensor | None, classes: int, name: str):
        names = tuple(f"c{k}" for k in range(classes)) if classes else None
        self.spec = DatasetSpec(name, images.shape[1], images.shape[2], len(images), len(images), names, True)
        self.images, self.labels, self.name = images, labels, name
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int]) -> Batch:
        rows = torch.as_tensor(list(indices))
        self.asked += list(indices)
        return Batch(self.images[rows], None if self.labels is None else self.labels[rows])

    @property
    def fingerprint(self) -> str:
        return self.name


@pytest.fixture
def make_images() -> MakeImages:
    """make_images(images [n, c, h, w], labels=None, classes=0, name=...) -> ImageDataset."""
    count = 0

    def make(images: Tensor, labels: Tensor | None = None, classes: int = 0, name: str = "") -> InMemory:
        nonlocal count
        count += 1
        return InMemory(images, labels, classes, name or f"set {count}")

    return make


@pytest.fixture
def noise() -> Callable[..., Tensor]:
    """noise(n, c, size, seed) -> uint8 [n, c, size, size] with some spatial correlation."""

    def make(n: int, channels: int = 1, size: int = 32, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(n, channels, size // 4, size // 4, generator=generator)
        fine = torch.rand(n, channels, size, size, generator=generator)
        image = 0.7 * torch.nn.functional.interpolate(coarse, size=(size, size)) + 0.3 * fine
        return (255 * image).to(torch.uint8)

    return make


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path))


@pytest.fixture
def evaluation(make_images, run: RunContext, tmp_path: Path) -> Callable[..., SharedEvaluation]:
    """evaluation(synthetic, reference=synthetic, train=None), of uint8 tensors [n, c, h, w] or ImageDatasets."""

    def make(synthetic, reference=None, train=None) -> SharedEvaluation:
        reference = synthetic if reference is None else reference
        sets = (
            x if x is None or isinstance(x, ImageDataset) else make_images(x) for x in (synthetic, reference, train)
        )
        x, y, z = sets
        return SharedEvaluation(x, y, run, z, tmp_path / "temporary", EvaluationCache(tmp_path / "real"))

    return make


@pytest.fixture
def features(tmp_path: Path) -> Callable[[np.ndarray], Features]:
    """features(array [n, ...]) -> the same as stored features."""
    count = 0

    def make(array: np.ndarray) -> Features:
        nonlocal count
        count += 1
        return write_features(tmp_path / f"features-{count}.npy", len(array), [array])

    return make


class FeaturesInMemory(Features):
    """Features without a file, for statistics of many sets."""

    def __init__(self, x: np.ndarray):
        self.x, self.labels, self.shape, self.made = x.astype(np.float32), None, x.shape[1:], {}

    def __len__(self) -> int:
        return len(self.x)

    def blocks(self, within: slice = slice(None)) -> Iterator[np.ndarray]:
        yield self.x[:, within]

    def derived(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], Path]:
    """publish(name, made): from here on the named weights are the files below `made`; returns their folder."""
    folder = tmp_path / "weights"
    monkeypatch.setattr(finding, "places", lambda file: [folder / file.name])

    def make(name: str, made: Path) -> Path:
        files = []
        for file in WEIGHTS[name].files:
            source, here = made / file.short, folder / file.name
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(source)
            files.append(replace(file, sha256=finding.sha256(source), size=source.stat().st_size))
        monkeypatch.setitem(WEIGHTS, name, replace(WEIGHTS[name], files=tuple(files)))
        return folder

    return make


@pytest.fixture(scope="session")
def made_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with random weights, in the files that OpenAI publishes."""
    return make_clip(tmp_path_factory.mktemp("clip"))


class PixelFeatures(Extractor):
    """Features that are written as the bytes of an image's pixels, after a serial number: float32 [b, pixels/4 - 1]."""

    description = "features in pixels"

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1).view(torch.float32)[:, 1:]

    def logits(self, features: Tensor) -> Tensor:
        """What the Inception extractor offers besides: here the features themselves."""
        return features


PIXELS = f"features in pixels ({code_note(PixelFeatures)})"
"""What the protocol says of them."""


@pytest.fixture
def scores(make_images: MakeImages, run: RunContext) -> Iterator[Callable[..., Scores]]:
    """scores(metric, synthetic, reference, train=None): a metric on features [n, d], whatever extractor it asks for."""
    serial = itertools.count()  # images of equal features are no copies of each other

    def images(features: np.ndarray) -> ImageDataset:
        numbers = np.array([next(serial) for _ in features])[:, None]
        numbered = np.concatenate([numbers, features], 1).astype(np.float32)
        return make_images(torch.from_numpy(numbered).view(torch.uint8)[:, :, None, None])

    def score(metric: str, synthetic: np.ndarray, reference: np.ndarray, train: np.ndarray | None = None) -> Scores:
        return evaluate([metric], images(synthetic), images(reference), run, None if train is None else images(train))

    with temporary(
        EXTRACTORS, dict.fromkeys(("inception", "pytorch-fid", "clip", "dinov2", "classifier"), PixelFeatures)
    ):
        yield score

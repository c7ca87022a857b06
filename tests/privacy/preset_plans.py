"""The plan of every preset of every registered method, on the dataset that it is for."""

from __future__ import annotations

from functools import cache

from dpbench.benchmark.configure import configure
from dpbench.core.registries import METHODS
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.privacy.plan import Plan

TEN = tuple("0123456789")
SHAPES = DatasetSpec("shapes", 3, 32, 10_000, 2_000, TEN, True)
GRAINED = DatasetSpec("grained", 3, 32, 10_000, 2_000, TEN, True)
MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, TEN, True)
CIFAR10 = DatasetSpec("cifar10", 3, 32, 50_000, 10_000, TEN, True)
SCENES = DatasetSpec("scenes", 3, 64, 50_000, 10_000, None, True, caption_bytes=384)
FACES = DatasetSpec("folder:faces", 3, 256, 162_770, 19_962, ("female", "male"), False)

FLOWERS = DatasetSpec("folder:flowers", 3, 256, 1_020, 6_149, tuple(map(str, range(102))), True)

ARTWORK = DatasetSpec("folder:artwork", 3, 512, 158, 40, None, False)
PICTOGRAMS = DatasetSpec("pictograms", 3, 32, 150, 1_000, None, True)

REFINED = {"pictograms": PICTOGRAMS, "shapes": SHAPES, "grained": GRAINED, "mnist": MNIST, "scenes": SCENES}
"""Datasets that presets are refined for."""

PUBLISHED = {"wavelet": FACES, "dp-ar": FLOWERS, "dpagg-ti": ARTWORK}
"""What a method's published constants are for; otherwise MNIST."""


def presets() -> list[tuple[str, str]]:
    """(method, preset) of all, refinements as presets of their own: ("wavelet", "small/mnist")."""
    return [(name, preset) for name in METHODS.names() for preset in METHODS.get(name).presets]


def dataset_of(method: str, preset: str) -> DatasetSpec:
    """The dataset that a preset is planned on: CIFAR-10 for one that is refined for others."""
    base, _, dataset = preset.partition("/")
    if dataset:
        return REFINED[dataset]
    return PUBLISHED.get(method, MNIST) if base == "paper" else CIFAR10


@cache
def preset_plan(method: str, preset: str) -> Plan:
    """The plan of a preset."""
    spec = dataset_of(method, preset)
    (configured,) = configure([method], spec.name, preset.partition("/")[0], {})
    return configured.method.plan(configured.config, spec, Request(Conditions.balanced(10_000, spec.n_classes)))

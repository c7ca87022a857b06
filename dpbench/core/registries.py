"""The registries, one per kind of plugin; `builtin_plugins` lists what dpbench itself provides."""

from __future__ import annotations

from typing import Any

from dpbench.core import builtin_plugins
from dpbench.core.data import Dataset
from dpbench.core.method import Method
from dpbench.core.metric import Extractor, Metric
from dpbench.core.public_generator import PublicGenerator
from dpbench.core.refiner import Refiner
from dpbench.core.registry import Registry
from dpbench.core.text_encoder import TextEncoder

METHODS: Registry[Method[Any]] = Registry("method", builtin_plugins.METHODS, Method)
DATASETS: Registry[Dataset] = Registry(
    "dataset", builtin_plugins.BENCHMARK_DATASETS | builtin_plugins.PUBLIC_DATASETS, Dataset
)
METRICS: Registry[Metric] = Registry("metric", builtin_plugins.METRICS, Metric)
REFINERS: Registry[Refiner[Any]] = Registry("refiner", builtin_plugins.REFINERS, Refiner)
EXTRACTORS: Registry[Extractor] = Registry("extractor", builtin_plugins.EXTRACTORS, Extractor)
TEXT_ENCODERS: Registry[TextEncoder[Any]] = Registry("text encoder", builtin_plugins.TEXT_ENCODERS, TextEncoder)
GENERATORS: Registry[PublicGenerator[Any]] = Registry("generator", builtin_plugins.GENERATORS, PublicGenerator)

REGISTRIES: tuple[Registry[Any], ...] = (METHODS, DATASETS, METRICS, REFINERS, EXTRACTORS, TEXT_ENCODERS, GENERATORS)


def is_public_only(dataset: str) -> bool:
    """Whether a dataset is a source for public pretraining only; imports nothing for built-in datasets.

    Raises:
        UnknownName: no dataset has that name.
        DpbenchError: its plugin cannot be imported.
    """
    if DATASETS.is_builtin(dataset):
        return dataset in builtin_plugins.PUBLIC_DATASETS
    return DATASETS.get(dataset).public_only

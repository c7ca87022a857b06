"""dpbench: a benchmark harness for differentially private image generators.

What a plugin or a script needs is re-exported here, imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from dpbench.benchmark.external import evaluate as evaluate
    from dpbench.benchmark.refinement import refine as refine
    from dpbench.benchmark.request import RunRequest as RunRequest
    from dpbench.benchmark.rescoring import evaluate_all as evaluate_all
    from dpbench.benchmark.runner import run as run
    from dpbench.core.captions import decode_captions as decode_captions
    from dpbench.core.captions import encode_captions as encode_captions
    from dpbench.core.config import option as option
    from dpbench.core.config import plugin_option as plugin_option
    from dpbench.core.data import DataOptions as DataOptions
    from dpbench.core.data import Dataset as Dataset
    from dpbench.core.data import ImageDataset as ImageDataset
    from dpbench.core.errors import DpbenchError as DpbenchError
    from dpbench.core.errors import MissingScore as MissingScore
    from dpbench.core.method import Method as Method
    from dpbench.core.method import Preset as Preset
    from dpbench.core.metric import Column as Column
    from dpbench.core.metric import Estimate as Estimate
    from dpbench.core.metric import Extractor as Extractor
    from dpbench.core.metric import Metric as Metric
    from dpbench.core.refiner import Refiner as Refiner
    from dpbench.core.registries import DATASETS as DATASETS
    from dpbench.core.registries import EXTRACTORS as EXTRACTORS
    from dpbench.core.registries import METHODS as METHODS
    from dpbench.core.registries import METRICS as METRICS
    from dpbench.core.registries import REFINERS as REFINERS
    from dpbench.core.specs import Batch as Batch
    from dpbench.core.specs import Budget as Budget
    from dpbench.core.specs import Conditions as Conditions
    from dpbench.core.specs import DatasetSpec as DatasetSpec
    from dpbench.privacy.choices import ExponentialChoice as ExponentialChoice
    from dpbench.privacy.choices import NoisyMax as NoisyMax
    from dpbench.privacy.dp_sgd_settings import DPSGDSettings as DPSGDSettings
    from dpbench.privacy.laplace import LaplaceSum as LaplaceSum
    from dpbench.privacy.mechanisms import DPSGD as DPSGD
    from dpbench.privacy.mechanisms import NoisySum as NoisySum
    from dpbench.privacy.mechanisms import Segment as Segment
    from dpbench.privacy.plan import Plan as Plan
    from dpbench.privacy.private_data import PrivateData as PrivateData
    from dpbench.training.loop import PublicSteps as PublicSteps
    from dpbench.training.loop import train as train

_HOME = {
    "evaluate": "dpbench.benchmark.external",
    "evaluate_all": "dpbench.benchmark.rescoring",
    "refine": "dpbench.benchmark.refinement",
    "run": "dpbench.benchmark.runner",
    "RunRequest": "dpbench.benchmark.request",
    **dict.fromkeys(["decode_captions", "encode_captions"], "dpbench.core.captions"),
    "option": "dpbench.core.config",
    "plugin_option": "dpbench.core.config",
    **dict.fromkeys(["DataOptions", "Dataset", "ImageDataset"], "dpbench.core.data"),
    **dict.fromkeys(["DpbenchError", "MissingScore"], "dpbench.core.errors"),
    **dict.fromkeys(["Method", "Preset"], "dpbench.core.method"),
    **dict.fromkeys(["Column", "Estimate", "Extractor", "Metric"], "dpbench.core.metric"),
    "Refiner": "dpbench.core.refiner",
    **dict.fromkeys(["DATASETS", "EXTRACTORS", "METHODS", "METRICS", "REFINERS"], "dpbench.core.registries"),
    **dict.fromkeys(["Batch", "Budget", "Conditions", "DatasetSpec"], "dpbench.core.specs"),
    **dict.fromkeys(["DPSGD", "NoisySum", "Segment"], "dpbench.privacy.mechanisms"),
    **dict.fromkeys(["ExponentialChoice", "NoisyMax"], "dpbench.privacy.choices"),
    "LaplaceSum": "dpbench.privacy.laplace",
    "Plan": "dpbench.privacy.plan",
    "PrivateData": "dpbench.privacy.private_data",
    "DPSGDSettings": "dpbench.privacy.dp_sgd_settings",
    **dict.fromkeys(["PublicSteps", "train"], "dpbench.training.loop"),
}

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604 (names of `_HOME`)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dpbench' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)

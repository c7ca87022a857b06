"""dpbench: a benchmark harness for differentially private image generators.

The names that plugins and scripts need, each imported on first use; docs/plugins.md describes them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from dpbench.benchmark.commands.evaluating import evaluate as evaluate
    from dpbench.benchmark.commands.exporting import export as export
    from dpbench.benchmark.commands.refining import refine as refine
    from dpbench.benchmark.commands.rescoring import evaluate_all as evaluate_all
    from dpbench.benchmark.commands.running import run as run
    from dpbench.benchmark.request import RunRequest as RunRequest
    from dpbench.benchmark.trials.stored_model import StoredModel as StoredModel
    from dpbench.benchmark.trials.stored_model import load as load
    from dpbench.core.cache import weights_hash as weights_hash
    from dpbench.core.captions import decode_captions as decode_captions
    from dpbench.core.captions import encode_captions as encode_captions
    from dpbench.core.config import Choice as Choice
    from dpbench.core.config import option as option
    from dpbench.core.config import plugin_option as plugin_option
    from dpbench.core.context import RunContext as RunContext
    from dpbench.core.data import DataOptions as DataOptions
    from dpbench.core.data import Dataset as Dataset
    from dpbench.core.data import ImageDataset as ImageDataset
    from dpbench.core.errors import ConfigError as ConfigError
    from dpbench.core.errors import DataError as DataError
    from dpbench.core.errors import DpbenchError as DpbenchError
    from dpbench.core.errors import MissingScore as MissingScore
    from dpbench.core.errors import NotInstalled as NotInstalled
    from dpbench.core.errors import PrivacyError as PrivacyError
    from dpbench.core.errors import UnknownName as UnknownName
    from dpbench.core.method import Method as Method
    from dpbench.core.method import Preset as Preset
    from dpbench.core.metric import Column as Column
    from dpbench.core.metric import Estimate as Estimate
    from dpbench.core.metric import Evaluation as Evaluation
    from dpbench.core.metric import Extractor as Extractor
    from dpbench.core.metric import Metric as Metric
    from dpbench.core.public_generator import Candidates as Candidates
    from dpbench.core.public_generator import PublicGenerator as PublicGenerator
    from dpbench.core.refiner import Degrade as Degrade
    from dpbench.core.refiner import Refiner as Refiner
    from dpbench.core.refiner import RefinerSettings as RefinerSettings
    from dpbench.core.registries import DATASETS as DATASETS
    from dpbench.core.registries import EXTRACTORS as EXTRACTORS
    from dpbench.core.registries import GENERATORS as GENERATORS
    from dpbench.core.registries import METHODS as METHODS
    from dpbench.core.registries import METRICS as METRICS
    from dpbench.core.registries import REFINERS as REFINERS
    from dpbench.core.registries import TEXT_ENCODERS as TEXT_ENCODERS
    from dpbench.core.specs import Batch as Batch
    from dpbench.core.specs import Budget as Budget
    from dpbench.core.specs import Conditions as Conditions
    from dpbench.core.specs import DatasetSpec as DatasetSpec
    from dpbench.core.specs import Request as Request
    from dpbench.core.text_encoder import TextEncoder as TextEncoder
    from dpbench.core.text_encoder import TextEncoding as TextEncoding
    from dpbench.data.arrays import ArrayDataset as ArrayDataset
    from dpbench.data.arrays import Subset as Subset
    from dpbench.evaluation.caveats import Caveat as Caveat
    from dpbench.evaluation.features import Features as Features
    from dpbench.models.image_range import to_uint8 as to_uint8
    from dpbench.models.image_range import to_unit as to_unit
    from dpbench.models.lora import add_lora as add_lora
    from dpbench.models.lora import merge_lora as merge_lora
    from dpbench.privacy.calibration import calibrate as calibrate
    from dpbench.privacy.dp_sgd_settings import DPSGDSettings as DPSGDSettings
    from dpbench.privacy.gradients.engine import Loss as Loss
    from dpbench.privacy.mechanisms.choices import ExponentialChoice as ExponentialChoice
    from dpbench.privacy.mechanisms.choices import NoisyMax as NoisyMax
    from dpbench.privacy.mechanisms.laplace import LaplaceSum as LaplaceSum
    from dpbench.privacy.mechanisms.mechanism import DPSGD as DPSGD
    from dpbench.privacy.mechanisms.mechanism import NoisySum as NoisySum
    from dpbench.privacy.mechanisms.mechanism import Segment as Segment
    from dpbench.privacy.mechanisms.nearest_mean import NearestMean as NearestMean
    from dpbench.privacy.mechanisms.sanitised import SanitisedGradients as SanitisedGradients
    from dpbench.privacy.plan import CalibratedPlan as CalibratedPlan
    from dpbench.privacy.plan import Plan as Plan
    from dpbench.privacy.private_data import PrivateData as PrivateData
    from dpbench.training.loop import train as train
    from dpbench.training.loop import train_together as train_together
    from dpbench.training.part import Part as Part
    from dpbench.training.part import Stepper as Stepper
    from dpbench.training.public_batches import PublicBatches as PublicBatches
    from dpbench.training.public_steps import PublicSteps as PublicSteps

_NAMES = {
    "dpbench.benchmark.commands.evaluating": ["evaluate"],
    "dpbench.benchmark.commands.exporting": ["export"],
    "dpbench.benchmark.commands.refining": ["refine"],
    "dpbench.benchmark.commands.rescoring": ["evaluate_all"],
    "dpbench.benchmark.commands.running": ["run"],
    "dpbench.benchmark.request": ["RunRequest"],
    "dpbench.benchmark.trials.stored_model": ["StoredModel", "load"],
    "dpbench.core.cache": ["weights_hash"],
    "dpbench.core.captions": ["decode_captions", "encode_captions"],
    "dpbench.core.config": ["Choice", "option", "plugin_option"],
    "dpbench.core.context": ["RunContext"],
    "dpbench.core.data": ["DataOptions", "Dataset", "ImageDataset"],
    "dpbench.core.errors": [
        "ConfigError",
        "DataError",
        "DpbenchError",
        "MissingScore",
        "NotInstalled",
        "PrivacyError",
        "UnknownName",
    ],
    "dpbench.core.method": ["Method", "Preset"],
    "dpbench.core.metric": ["Column", "Estimate", "Evaluation", "Extractor", "Metric"],
    "dpbench.core.public_generator": ["Candidates", "PublicGenerator"],
    "dpbench.core.refiner": ["Degrade", "Refiner", "RefinerSettings"],
    "dpbench.core.registries": [
        "DATASETS",
        "EXTRACTORS",
        "GENERATORS",
        "METHODS",
        "METRICS",
        "REFINERS",
        "TEXT_ENCODERS",
    ],
    "dpbench.core.specs": ["Batch", "Budget", "Conditions", "DatasetSpec", "Request"],
    "dpbench.core.text_encoder": ["TextEncoder", "TextEncoding"],
    "dpbench.data.arrays": ["ArrayDataset", "Subset"],
    "dpbench.evaluation.caveats": ["Caveat"],
    "dpbench.evaluation.features": ["Features"],
    "dpbench.models.image_range": ["to_uint8", "to_unit"],
    "dpbench.models.lora": ["add_lora", "merge_lora"],
    "dpbench.privacy.calibration": ["calibrate"],
    "dpbench.privacy.dp_sgd_settings": ["DPSGDSettings"],
    "dpbench.privacy.gradients.engine": ["Loss"],
    "dpbench.privacy.mechanisms.choices": ["ExponentialChoice", "NoisyMax"],
    "dpbench.privacy.mechanisms.laplace": ["LaplaceSum"],
    "dpbench.privacy.mechanisms.mechanism": ["DPSGD", "NoisySum", "Segment"],
    "dpbench.privacy.mechanisms.nearest_mean": ["NearestMean"],
    "dpbench.privacy.mechanisms.sanitised": ["SanitisedGradients"],
    "dpbench.privacy.plan": ["CalibratedPlan", "Plan"],
    "dpbench.privacy.private_data": ["PrivateData"],
    "dpbench.training.loop": ["train", "train_together"],
    "dpbench.training.part": ["Part", "Stepper"],
    "dpbench.training.public_batches": ["PublicBatches"],
    "dpbench.training.public_steps": ["PublicSteps"],
}
"""Module -> the names taken from it. Repeats the imports above, because type checkers cannot read a table."""

_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted([*_HOME, "__version__"])  # noqa: PLE0605 (a list all the same)


if not TYPE_CHECKING:  # so that type checkers still report unknown names

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'dpbench' has no attribute '{name}'")
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__

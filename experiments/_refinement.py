"""One detail stage on one set of coarse images: refine, score, store the row."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import dpbench
from dpbench.core.closure import code_hash
from dpbench.core.config import build
from dpbench.core.data import DataOptions
from dpbench.core.errors import DpbenchError, NotInstalled
from dpbench.core.files import digest, read_json, write_json
from dpbench.core.registries import METHODS, METRICS, REFINERS
from dpbench.core.specs import Conditions
from dpbench.core.variants import parse_variant
from dpbench.data.opening import whole_name
from dpbench.models.image_range import to_uint8
from dpbench.results.metric_columns import known_columns
from dpbench.results.row import CI95
from dpbench.results.samples import clear, write_conditions, write_shard
from dpbench.results.trial_folder import safe_name
from experiments._coarse import Source, block_error, coarse_set, prepare_refiner, working_environment

PUBLIC = {"shapes": "figures", "mnist": "omniglot"}
"""The public source of each dataset; for photographs, --photographs names it."""

FIRST = 50
"""Number of images for estimating the time per image."""

FEWEST = 100
"""Number of images for the slowest detail stage, unless fewer are requested."""

CHUNK = 500


@dataclass(frozen=True)
class Options:
    """The options of `detail_stages.py`.

    Attributes:
        epsilons: privacy budgets of the coarse stages.
        samples: number of images per set.
        seconds: approximate time limit of refinement; a slow detail stage refines fewer images.
        metrics: names of the metrics.
        data: folder of datasets.
        photographs: public source for photographs; "" if none is named.
        out: folder of trials, images and rows.
        public_benchmark: whether folders of sensitive images are declared public.
    """

    epsilons: tuple[float, ...]
    samples: int
    seconds: float
    metrics: tuple[str, ...]
    data: Path
    photographs: str
    out: Path
    public_benchmark: bool = False

    @property
    def opening(self) -> DataOptions:
        """How datasets are opened."""
        return DataOptions(self.data, public_benchmark=self.public_benchmark)

    def public(self, dataset: str) -> str:
        """The public source of a dataset.

        Raises:
            DpbenchError: the dataset has no default; the user must name one.
        """
        name = whole_name(dataset).partition(":")[0]
        if name in PUBLIC:
            return PUBLIC[name]
        if not self.photographs:
            raise DpbenchError(f"name a public source of photographs for {dataset}, e.g. --photographs folder:crops")
        return self.photographs


@dataclass(frozen=True)
class Stage:
    """A detail stage with its settings.

    Attributes:
        name: the detail stage as written on the command line: "residual[consistency=project]".
        plugin: the refiner.
        settings: the settings in the brackets.
    """

    name: str
    plugin: Any
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, text: str) -> Stage:
        """The detail stage that `text` names.

        Raises:
            DpbenchError: the detail stage or a setting does not exist.
        """
        name, settings = parse_variant(text)
        plugin = REFINERS.get(name)
        build(plugin.Config, settings)
        return cls(text, plugin, settings)

    def refiner(self, augmentation: str) -> Any:
        """The refiner, trained with this augmentation of public images unless the brackets name another one."""
        known = {"augmentation"} & {f.name for f in fields(self.plugin.Config)}
        return self.plugin(build(self.plugin.Config, dict.fromkeys(known, augmentation) | dict(self.settings)))


def is_installed(name: str) -> bool:
    """Whether the weights that a detail stage needs are installed; prints a message if they are not."""
    plugin = REFINERS.get(name)
    try:
        plugin.weights_of(build(plugin.Config, {}))
    except NotInstalled as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        return False
    return True


def result_path(dataset: str, source: Source, stage: Stage, options: Options) -> Path:
    """The file of the row of refined images; its name depends on the options, except the metrics, and the stages' code.

    It does not depend on the content of the dataset's files: use another `--out` if they change.
    """
    o = options
    images = [dataset, o.public(dataset), str(o.data.resolve()), source.epsilon, o.samples]
    code = code_hash(stage.plugin, METHODS.get("wavelet"))
    key = digest([images, stage.name, o.seconds, code], 12)
    return o.out / "rows" / f"{safe_name(dataset)}-{key}.json"


def refine_and_score(dataset: str, source: Source, stage: Stage, options: Options) -> None:
    """Refines a set of coarse images and scores the images. What is stored already is not done again.

    Args:
        dataset: the name of the sensitive dataset.
        source: the source of the coarse images.
        stage: the detail stage.
        options: see `Options`.
    """
    path = result_path(dataset, source, stage, options)
    row = read_json(path) if path.exists() else refine(path, dataset, source, stage, options)
    metrics = {name: code_hash(METRICS.get(name)) for name in options.metrics}
    if metrics.items() <= row["metrics"].items():
        return
    scored = dpbench.evaluate(
        row["samples"], dataset, name=digest([source.name, stage.name], 12), metrics=list(options.metrics),
        references=(), data=options.data, out=options.out / "scores", public_benchmark=options.public_benchmark,
    )  # fmt: skip
    write_json(path, row | scores(scored.iloc[0].to_dict()) | {"metrics": row["metrics"] | metrics})


def refine(path: Path, dataset: str, source: Source, stage: Stage, options: Options) -> dict[str, Any]:
    """Trains a detail stage, refines a set of coarse images, and stores the images and a row without scores."""
    public, samples, data = options.public(dataset), options.samples, options.data
    coarse = coarse_set(dataset, public, source, samples, data, options.out, options.public_benchmark)
    refiner, run = stage.refiner(coarse.model.method.config.augmentation), working_environment(coarse.model)
    size = coarse.model.spec.resolution
    prepare_refiner(coarse.model, refiner, public, data, run)

    def refined(first: int, last: int) -> torch.Tensor:
        draws = coarse.images[first:last]
        images = draws[:, : refiner.draws] if refiner.draws > 1 else draws[:, 0]
        return to_uint8(refiner(images.to(run.device), size, run)).cpu()

    refined(0, min(FIRST, samples))
    affordable = max(FEWEST, int(options.seconds / (refiner.cost.seconds_per_image or 1e-9)))
    count = min(samples, affordable)
    folder = path.with_suffix("")
    clear(folder)
    images = torch.cat([refined(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)])
    write_shard(folder, 0, images)
    labels = coarse.conditions.labels
    write_conditions(folder, Conditions(count, None if labels is None else labels[:count]))
    row = {
        "dataset": dataset,
        "coarse": source.name,
        "refiner": stage.name,
        "public": public,
        "n_samples": count,
        "ll_error": block_error(images, coarse.images[:count, 0]),
        "seconds_prepare": refiner.cost.seconds_prepare,
        "seconds_per_image": refiner.cost.seconds_per_image,
        "parameters": refiner.parameters(),
        "memory_mb": refiner.cost.memory_mb,
        "samples": str(folder),
        "metrics": {},
    }
    write_json(path, row)
    return row


def scores(row: Mapping[str, Any]) -> dict[str, Any]:
    """The scores and intervals that a leaderboard row has."""
    names = {part for column in known_columns() for part in (column.name, f"{column.name}{CI95}")}
    return {name: value for name, value in row.items() if name in names and pd.notna(value)}

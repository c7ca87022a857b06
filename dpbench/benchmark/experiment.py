"""Experiment files: the options of `dpbench run` in a TOML or YAML file, for one dataset or for several.

    methods = ["wavelet", "wavelet[codes=128]", "dp-merf"]
    epsilons = [1, 10]
    seeds = 3
    settings = { "wavelet:steps" = 200 }

    [datasets.shapes]

    [datasets.mnist]
    public = "omniglot"

The keys are the fields of `RunRequest`. Keys below a dataset apply only to it. Every run stores its resolved options as
such a file beside its results.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dpbench.benchmark.public_choice import canonical_public
from dpbench.benchmark.request import FIELDS, RunRequest, field_value
from dpbench.core.errors import ConfigError, DpbenchError
from dpbench.core.files import digest, reading, write_text
from dpbench.data.opening import canonical_name

DATASETS = "datasets"
"""The key of several datasets: a list of names, or a table of tables with their own options."""

FOLDER = "experiments"
"""Folder of stored experiments, in the folder of results."""

NOT_STORED = ("force", "launcher", "workers", "job")
"""Options that must not take effect again, or depend on the machine: stored experiments continue on any machine."""


def read_experiment(path: Path, given: Mapping[str, Any]) -> list[RunRequest]:
    """The requests of an experiment file, one per dataset, in its order.

    Args:
        path: a file whose name ends with .toml, .yaml or .yml. Paths in it start from the current folder.
        given: field -> value of the options that override the file's. Settings are overridden one by one.

    Raises:
        ConfigError: a key is unknown, or a value has the wrong type.
        DpbenchError: the file cannot be read, or a number is out of range.
    """
    return requests_of(_content(path), given, str(path))


def requests_of(content: Mapping[str, Any], given: Mapping[str, Any], path: str) -> list[RunRequest]:
    """The requests of an experiment whose file has been read; see `read_experiment`.

    Args:
        content: the result of `as_experiment`, or the content of a file.
        given: field -> value of the options that override it.
        path: the path to name in errors.
    """
    content = dict(content)
    several = content.pop(DATASETS, None)
    shared = _options(content, path)
    if several in ([], {}):
        raise ConfigError(f"{path}: {DATASETS} is empty; name at least one")
    if several and "dataset" in shared:
        raise ConfigError(f"{path}: give either dataset, or {DATASETS} for several")
    own = {name: _options(options, path) for name, options in _tables(several or {}, path).items()}
    chosen = [given["dataset"]] if "dataset" in given else own or [shared.get("dataset", RunRequest.dataset)]
    return [RunRequest(**_layered(shared, own.get(name, {}), given, {"dataset": name})) for name in chosen]


def store_experiment(requests: Sequence[RunRequest], out: Path) -> Path:
    """Writes the resolved options of an experiment to OUT/experiments/. Equal experiments share one file.

    Args:
        requests: one per dataset, at least one.
        out: folder of results.

    Returns:
        the file; `read_experiment` restores the requests from it, whatever the current folder.
    """
    import yaml

    content = as_experiment(requests)
    path = out / FOLDER / f"{digest(content)}.yaml"
    write_text(path, yaml.safe_dump(content, allow_unicode=True, sort_keys=False, default_flow_style=None, width=1000))
    return path


def as_experiment(requests: Sequence[RunRequest]) -> dict[str, Any]:
    """The content of an experiment's file, with defaults written out and absolute paths."""
    first, *others = resolved = [_resolved(request) for request in requests]
    if not others:
        return first
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    own = {one["dataset"]: {key: one[key] for key in one if key not in (*shared, "dataset")} for one in resolved}
    return shared | {DATASETS: own}


def _resolved(request: RunRequest) -> dict[str, Any]:
    values = {name: _absolute(getattr(request, name)) for name in FIELDS if name not in NOT_STORED}
    values["dataset"] = canonical_name(request.dataset)
    with suppress(DpbenchError):  # a wrong one stays as it is: its own request refuses it
        values["public"] = canonical_public(request.public)
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return {name: value for name, value in plain.items() if value is not None}


def _absolute(value: Any) -> Any:
    """The value with all paths absolute."""
    if isinstance(value, Path):
        return value.absolute()
    return tuple(map(_absolute, value)) if isinstance(value, tuple) else value


def _content(path: Path) -> dict[str, Any]:
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path} is not an experiment file; its name must end with {' or '.join(FORMATS)}")
    with reading(path):
        content = FORMATS[path.suffix](path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: an experiment file has lines such as methods = ... and epsilons = ...")
    return content


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


FORMATS: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".yaml": _yaml, ".yml": _yaml}


def _tables(datasets: Any, path: str) -> dict[str, Any]:
    """Name of each dataset of an experiment -> its own options."""
    if isinstance(datasets, list) and all(isinstance(name, str) for name in datasets):
        return {name: {} for name in datasets}
    if isinstance(datasets, dict) and all(isinstance(options or {}, dict) for options in datasets.values()):
        return {str(name): options or {} for name, options in datasets.items()}
    raise ConfigError(f"{path}: {DATASETS} must be a list of names, or a table with a table for each dataset")


def _options(content: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Field -> value, from the keys of a file."""
    for key in content:
        if key not in FIELDS:
            raise ConfigError(f"{path}: unknown key '{key}'; the keys are {', '.join((*FIELDS, DATASETS))}")
    return {key: _value(key, value, path) for key, value in content.items() if value is not None}


def _value(key: str, value: Any, path: str) -> Any:
    if key == "settings":
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path}: settings must be a table of settings, such as [settings] steps = 200")
        return dict(_flat(value))
    try:
        return field_value(key, value)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """{"refiner": {"name": "bicubic"}}, as TOML reads `refiner.name = "bicubic"` -> "refiner.name", "bicubic"."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Fields from several layers; later layers take precedence, in `settings` for each setting."""
    settings = {key: value for layer in layers for key, value in layer.get("settings", {}).items()}
    return {name: value for layer in layers for name, value in layer.items()} | {"settings": settings}

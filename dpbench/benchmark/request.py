"""The request of a command. Every option is declared once, here, with its default, its help and its panel.

The command line (`cli.options`), the Python API (`dpbench.run`) and the stored configuration are made from
`RunRequest`. A command shows only the options that it needs.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from dpbench.benchmark.protocols import OWN, PROTOCOLS
from dpbench.core.config import parse_settings
from dpbench.core.data import DataOptions
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.folders import expanded
from dpbench.core.plugin_files import load_plugin
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request, check_chosen_delta, default_delta
from dpbench.core.typed_values import as_declared, is_sequence
from dpbench.core.variants import split_list
from dpbench.data.opening import default_root

WHAT, HOW, WHERE = "What to compare", "How to run", "Where files are"

DEFAULT_PRESET = "small"

MOST = 1_000_000
"""Maximum number of samples of a trial, and of seeds."""

Reference = Literal["", "real", "public", "nonprivate"]

REFERENCES = ("public", "nonprivate", "real")
"""The reference rows (rule R8)."""

LAUNCHERS = ("none", "local", "ray", "slurm")
"""Launchers of trials, each a module of `dpbench.benchmark.launchers`; none runs them in this process, one by one."""


def parse_epsilons(text: str) -> tuple[float, ...]:
    """ "1,5,inf" -> (1.0, 5.0, inf); "" -> ().

    Raises:
        DpbenchError: an item is not a positive number.
    """
    return tuple(check_epsilon(item) for item in text.split(",")) if text else ()


def check_epsilon(value: str | float) -> float:
    """A positive ε, possibly infinite.

    Raises:
        DpbenchError: it is not a number, or not positive.
    """
    try:
        epsilon = float(value)
    except ValueError:
        raise DpbenchError(f"ε must be a positive number or inf, not '{str(value).strip()}'") from None
    if math.isinf(epsilon) and "inf" not in str(value):
        raise DpbenchError(f"ε = {value} is too large; write inf for no privacy")
    if epsilon == 0:
        raise DpbenchError("ε = 0 is only for the public reference, which `dpbench run --references public` adds")
    if not epsilon > 0:
        raise DpbenchError(f"ε must be a positive number or inf, not {epsilon:g}")
    return epsilon


def split_names(text: str) -> tuple[str, ...]:
    """The names in a comma-separated list; "none" and "" are the empty list."""
    return tuple(name.strip() for name in text.split(",") if name.strip() and name.strip() != "none")


def split_metrics(text: str) -> tuple[str, ...] | None:
    """The names in a comma-separated list; "none" is the empty list, and "" means the default metrics."""
    return split_names(text) if text else None


def _option(
    default: Any,
    help: str,
    panel: str,
    *,
    flag: str = "",
    metavar: str = "",
    parse: Callable[[Any], Any] | None = None,
    hidden: bool = False,
) -> Any:
    """A field of the request and its option on the command line.

    Args:
        default: its default; `dict` for an empty mapping.
        flag: name of the option; by default the field's.
        parse: converts the option's text to the field's value; by default the option has the field's type.
    """
    metadata = {"help": help, "panel": panel, "flag": flag, "metavar": metavar, "parse": parse, "hidden": hidden}
    return (
        field(default_factory=dict, metadata=metadata) if default is dict else field(default=default, metadata=metadata)
    )


@dataclass(frozen=True)
class RunRequest:
    """Everything that `dpbench run` is asked to do; other commands use some of its fields.

    Raises:
        DpbenchError: a value has the wrong type, a number is out of range, or a reference or a protocol does not exist.
    """

    methods: Sequence[str] = _option(
        (),
        "Methods (see `dpbench list methods`), separated by commas; settings in brackets make a variant: "
        "'wavelet,wavelet\\[codes=128]'.",
        WHAT,
        flag="--method",
        metavar="NAMES",
        parse=split_list,
    )
    dataset: str = _option(
        "shapes", "Sensitive dataset, e.g. mnist or folder:PATH; see `dpbench list datasets`.", WHAT, metavar="NAME"
    )
    epsilons: Sequence[float] = _option(
        (1.0,),
        "Privacy budgets ε, e.g. 1,5,10; inf is the non-private reference.",
        WHAT,
        flag="--eps",
        metavar="LIST",
        parse=parse_epsilons,
    )
    delta: float | None = _option(None, "δ of the guarantee; 1 / (n ln n) for n records by default.", WHAT, metavar="D")
    seeds: int = _option(1, "Seeds per budget; several give the mean and a 95% interval.", WHAT, metavar="N")
    public: str = _option(
        "figures",
        "Public images to pretrain on, for methods that use them; see `dpbench list public`. With auto:A,B,... the "
        "private images choose one, at a privacy cost that the plan shows.",
        WHAT,
        metavar="NAME",
    )
    references: Sequence[str] = _option(
        ("real", "public"),
        "Reference rows: real (real images), public (ε = 0), nonprivate (ε = ∞); or none.",
        WHAT,
        metavar="LIST",
        parse=split_names,
    )
    preset: str = _option(DEFAULT_PRESET, "Named settings to start from, e.g. small or paper.", WHAT, metavar="NAME")
    settings: Mapping[str, Any] = _option(
        dict,
        "Change a setting (see `dpbench show METHOD`); repeatable. METHOD:KEY=VALUE changes it for one of several "
        "methods.",
        WHAT,
        flag="--set",
        metavar="KEY=VALUE",
        parse=parse_settings,
    )
    samples: int = _option(
        None,
        "Images to generate and score per trial, at most 1,000,000; by default 10,000, or 60,000 with --protocol "
        "dpimagebench.",
        WHAT,
        metavar="N",
    )
    prompts: Path | None = _option(
        None,
        "File of public prompts to sample with (UTF-8, one per line), for datasets with captions; by default the "
        "dataset's own, or the captions of the test split of a public benchmark.",
        WHAT,
        metavar="FILE",
    )
    metrics: Sequence[str] | None = _option(
        None,
        "Metrics to compute, at least one (see `dpbench list metrics`); by default all except slow ones. With "
        "--protocol dpimagebench, none leaves only the protocol's.",
        WHAT,
        metavar="LIST",
        parse=split_metrics,
    )
    protocol: str = _option(
        OWN,
        "dpimagebench adds columns that are computed as in DPImageBench (for MNIST, with --resolution 28). Its "
        "classifiers take days; --metrics accuracy-paper adds them.",
        WHAT,
        metavar="NAME",
    )
    resolution: int | None = _option(
        None, "Height and width of the images in pixels; the dataset's own by default.", WHAT, metavar="N"
    )
    public_benchmark: bool = _option(False, "Declare your folder of images public: nothing is withheld.", WHAT)
    device: str = _option("auto", "auto, cpu, cuda or cuda:1.", HOW, metavar="NAME")
    precision: str = _option("auto", "auto, fp32 or bf16; auto is bf16 on GPUs that support it.", HOW, metavar="NAME")
    launcher: str = _option(
        "none",
        "Run trials in parallel: local (processes on this machine), ray or slurm; none runs them one after the other.",
        HOW,
        metavar="NAME",
    )
    workers: int | None = _option(
        None,
        "Maximum number of parallel trials; by default as many as ray or slurm has room for, or with local one per GPU "
        "or one per four CPU cores.",
        HOW,
        metavar="N",
    )
    gpus: int = _option(1, "GPUs per trial; with --device cpu, processes per trial.", HOW, metavar="N")
    job: Mapping[str, Any] = _option(
        dict,
        "Resources of a trial, for ray (num_cpus=4) or for submitit with slurm (slurm_partition=gpu, timeout_min=600); "
        "repeatable.",
        HOW,
        metavar="KEY=VALUE",
        parse=parse_settings,
    )
    force: bool = _option(False, "Run finished trials again, each as another private run.", HOW)
    fail_fast: bool = _option(False, "Stop at the first trial that fails; by default the others continue.", HOW)
    track: Sequence[str] = _option(
        (),
        "Log progress and scores to tensorboard, wandb or mlflow, separated by commas; needs "
        "`pip install 'dpbench\\[track]'`.",
        HOW,
        metavar="NAMES",
        parse=split_names,
    )
    download: bool = _option(False, "Allow missing datasets to be downloaded.", HOW)
    noise_seed: int | None = _option(
        None,
        "Reproducible noise, for tests only; marks the rows.",
        HOW,
        flag="--reproducible-noise",
        metavar="SEED",
        hidden=True,
    )
    data: Path | None = _option(
        None, "Folder of datasets; by default $DPBENCH_DATA, or data/ in the cache folder.", WHERE, metavar="DIR"
    )
    out: Path = _option(Path("results"), "Folder of results.", WHERE, metavar="DIR")
    plugins: Sequence[Path] = _option(
        (),
        "Python file or package (a folder) with plugins of your own; repeatable.",
        WHERE,
        flag="--plugin",
        metavar="PATH",
    )

    def __post_init__(self) -> None:
        for name in FIELDS:
            self._set(name, field_value(name, getattr(self, name)))
        self._set("epsilons", tuple(map(check_epsilon, self.epsilons)))
        for name in ("settings", "job"):
            self._set(name, dict(getattr(self, name)))
        for name in ("out", "data", "prompts"):
            path = getattr(self, name)
            self._set(name, None if path is None else expanded(path))
        self._set("plugins", tuple(map(expanded, self.plugins)))
        if self.protocol not in PROTOCOLS:
            raise UnknownName("protocol", self.protocol, PROTOCOLS)
        if self.metrics is not None and not self.named_metrics:
            raise DpbenchError("no metric is named: name at least one, or leave --metrics out for the default ones")
        if self.samples is None:
            self._set("samples", PROTOCOLS[self.protocol].samples)
        self._check_launcher()
        for what, value in {"seeds": self.seeds, "samples": self.samples}.items():
            if not 1 <= value <= MOST:
                raise DpbenchError(f"the number of {what} must be at least 1 and at most {MOST:,}, not {value:,}")
        for name in self.references:
            if name not in REFERENCES:
                raise UnknownName("reference", name, REFERENCES)
        if self.delta is not None:
            Budget(1, self.delta)

    def _check_launcher(self) -> None:
        if self.launcher not in LAUNCHERS:
            raise UnknownName("launcher", self.launcher, LAUNCHERS)
        if self.launcher == "none" and self.workers is not None:
            raise DpbenchError("--workers needs --launcher local, ray or slurm")
        if self.launcher not in ("ray", "slurm") and self.job:
            raise DpbenchError("--job sets the resources of a trial for ray or slurm; choose one with --launcher")
        for what, value in {"--workers": self.workers, "--gpus": self.gpus}.items():
            if value is not None and value < 1:
                raise DpbenchError(f"{what} must be at least 1, not {value}")

    @classmethod
    def of(cls, *arguments: Any, **options: Any) -> RunRequest:
        """A request from field values, by position or by name.

        Raises:
            UnknownName: there is no such field.
            DpbenchError: as the class.
        """
        for name in options:
            if name not in FIELDS:
                raise UnknownName("option", name, FIELDS)
        return cls(*arguments, **options)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def load_plugins(self) -> None:
        """Runs the plugins, so that their names are known.

        Raises:
            DpbenchError: a plugin is missing or fails.
        """
        for path in self.plugins:
            load_plugin(path)

    @property
    def named_metrics(self) -> tuple[str, ...]:
        """The requested metrics and those that the protocol adds; the default metrics are not among them."""
        return (*(self.metrics or ()), *PROTOCOLS[self.protocol].metrics)

    @property
    def data_options(self) -> DataOptions:
        """The options for opening its datasets."""
        return DataOptions(self.data or default_root(), self.resolution, self.download, self.public_benchmark)

    def budgets(self) -> list[tuple[float, Reference]]:
        """(ε, reference) of a method's rows: ε = 0 for `public`, the budgets as given, and ε = ∞ for `nonprivate`."""
        wanted: dict[float, Reference] = {0.0: "public"} if "public" in self.references else {}
        wanted |= {epsilon: "" if math.isfinite(epsilon) else "nonprivate" for epsilon in self.epsilons}
        if "nonprivate" in self.references:
            wanted[math.inf] = "nonprivate"
        return list(wanted.items())

    def delta_for(self, spec: DatasetSpec) -> float:
        """The requested δ, with a warning if it protects little; 1 / (n ln n) by default."""
        if self.delta is None:
            return default_delta(spec.n_train)
        check_chosen_delta(self.delta, spec.n_train)
        return self.delta

    def samples_of(self, spec: DatasetSpec, prompts: Sequence[str] = ("",)) -> Request:
        """The samples to draw for a dataset: equally many images of each class, or of each prompt.

        Args:
            spec: the dataset's declaration.
            prompts: for a dataset with captions; everything that a plan depends on is the same for all prompts.
        """
        kinds = prompts if spec.condition == "captions" else spec.n_classes
        return Request(Conditions.balanced(self.samples, kinds))

    def stored(self) -> dict[str, Any]:
        """The fields that trial.json stores, as JSON-like values: those that say what is compared, and the plugins."""
        chosen = {f.name: getattr(self, f.name) for f in FIELDS.values() if f.metadata["panel"] == WHAT}
        chosen["plugins"] = tuple(map(str, self.plugins))
        chosen["prompts"] = None if self.prompts is None else str(self.prompts)
        return {name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
                for name, value in chosen.items()}  # fmt: skip


FIELDS: dict[str, Field[Any]] = {f.name: f for f in fields(RunRequest)}
"""Name -> field of a request, with the metadata of its option."""

HINTS = typing.get_type_hints(RunRequest)
"""Name -> type of a field."""


def field_value(name: str, value: Any) -> Any:
    """The value of a field, from what a Python caller or a file may give for it.

    A list may also be given as on the command line ("real,public", "none"), or as its only item.

    Raises:
        ConfigError: it has the wrong type.
        DpbenchError: as the field's option.
    """
    hint, parse = HINTS[name], FIELDS[name].metadata["parse"]
    if value is None and FIELDS[name].default is None:
        return None
    return as_declared(name, hint, parse(value) if parse and isinstance(value, str) and is_sequence(hint) else value)

"""What every method promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dpbench.benchmark.configure import configure, plan_of
from dpbench.benchmark.trials.shared_state import unchanged
from dpbench.contracts.case import Case, check_summary, imported_names, require_no_torch
from dpbench.contracts.promise import ContractError, must_work, require
from dpbench.contracts.small_sets import CLASSES, bars_spec
from dpbench.core.config import build
from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.method import Method
from dpbench.core.specs import Conditions, DatasetSpec, Request

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.contracts.small_trial import SmallTrial

ODD_SIZES = ((1, 7), (3, 20), (1, 33))
"""(channels, resolution) that many methods do not support."""

OUT_OF_REACH = ("dpbench.data", "dpbench.metrics", "dpbench.evaluation", "dpbench.results", "dpbench.benchmark")
"""Parts of dpbench that a method may not import."""


@dataclass(frozen=True)
class MethodCase(Case[Method[Any]]):
    """A method under test.

    Attributes:
        settings: small enough that it trains on 200 grey images of 16 × 16 pixels in a second or two.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fitted(self) -> SmallTrial:
        """A trial on images with two classes, after `fit`."""
        with must_work(f"training {self.name} on 200 images (with smaller settings in MethodCase, if need be)"):
            return self.new_trial(bars_spec(), fit=True)

    def new_trial(
        self,
        spec: DatasetSpec,
        fit: bool,
        public_classes: tuple[str, ...] | None = CLASSES,
        attempt: str = "trial",
    ) -> SmallTrial:
        """A new trial after `prepare`, or after `fit`; trials share the public cache.

        Args:
            spec: what the sensitive images declare.
            fit: whether the private phase follows.
            public_classes: classes of the public images; None for images without labels.
            attempt: name of the trial's folder.
        """
        from dpbench.contracts.small_trial import SmallTrial

        trial = SmallTrial(self.plugin, self.settings, spec, self.folder, attempt, public_classes=public_classes)
        if fit:
            trial.fit()
        return trial


def check_planned_without_torch(case: MethodCase) -> None:
    """The method is imported, configured and planned without torch."""
    require_no_torch(
        case,
        "from dpbench.core.config import build\n"
        "from dpbench.core.specs import Conditions, DatasetSpec, Request\n"
        f"config = build(plugin.Config, {dict(case.settings)!r})\n"
        f"plugin.plan(config, {bars_spec()!r}, Request(Conditions.balanced(10, 2)))",
    )


def check_plan_is_fixed(case: MethodCase) -> None:
    """The plan follows from the configuration, the declaration and the request: two calls return the same."""
    config: Any = build(case.plugin.Config, case.settings)
    spec, request = bars_spec(), Request(Conditions.balanced(10, 2))
    with must_work(f"planning {case.name}"):
        first, second = (plan_of(case.plugin, config, spec, request) for _ in range(2))
    require(first == second, f"{case.name} plans differently each time; let plan depend on its arguments alone")


def check_unsuitable_data(case: MethodCase) -> None:
    """`plan` refuses an unsuitable dataset with ConfigError; a planned method can be built."""
    config: Any = build(case.plugin.Config, case.settings)
    for channels, size in ODD_SIZES:
        spec = bars_spec(size, channels)
        with must_work(f"planning or refusing {size} pixels in {case.name}"):
            try:
                plan_of(case.plugin, config, spec, Request(Conditions.balanced(10, 2)))
            except ConfigError:
                continue
        with must_work(f"building {case.name} for {size} pixels, which plan accepted,"):
            case.plugin(config, spec)


def check_presets(case: MethodCase) -> None:
    """Every preset is a valid configuration; it can be planned, or ConfigError says why not."""
    for preset in case.plugin.presets:
        base, _, dataset = preset.partition("/")
        spec = replace(bars_spec(32, 1, 60_000), name=dataset or "bars")
        with must_work(f"preset {preset} of {case.name}"):
            (configured,) = configure([case.name], spec.name, base, {})
            try:
                plan_of(case.plugin, configured.config, spec, Request(Conditions.balanced(10, 2)))
            except ConfigError:
                continue


def check_public_part_alone(case: MethodCase) -> None:
    """A method that uses public data can sample after `prepare` alone: the `public` reference."""
    if case.plugin.track == "none":
        return
    with must_work(f"sampling from {case.name} after prepare alone"):
        trial = case.new_trial(bars_spec(), fit=False)
        _require_images(case, trial.sample(), (12, *trial.spec.shape))


def check_unlabelled_public_part(case: MethodCase) -> None:
    """Public images without labels work as well, or are refused with ConfigError."""
    if case.plugin.track == "none":
        return
    with must_work(f"preparing {case.name} on public images without labels, or refusing them,"):
        try:
            case.new_trial(bars_spec(), fit=False, public_classes=None)
        except ConfigError:
            return


def check_budget_is_spent(case: MethodCase) -> None:
    """`fit` makes every planned release, and reads no record outside the mechanisms."""
    ledger = case.fitted.ledger
    with must_work(f"spending the whole plan of {case.name}"):
        ledger.check_complete()
    require(ledger.accounting == "verified", f"{case.name} reads records outside its plan; use the vault's queries")


def check_images(case: MethodCase) -> None:
    """`sample` returns uint8 images, one per condition, in chunks of any size."""
    trial = case.fitted
    for count in (1, 5):
        with must_work(f"sampling {count} images from {case.name}"):
            images = trial.sample(Conditions.balanced(count, trial.spec.n_classes))
        _require_images(case, images, (count, *trial.spec.shape))


def check_unconditional(case: MethodCase) -> None:
    """A dataset without classes is learned and sampled without conditions."""
    spec = bars_spec(classes=None)
    with must_work(f"training {case.name} on images without classes"):
        images = case.new_trial(spec, fit=True).sample(Conditions(5))
    _require_images(case, images, (5, *spec.shape))


def check_seeds(case: MethodCase) -> None:
    """The same seed and the same DP noise give the same samples; another seed gives others."""
    import torch

    first, again = case.fitted, case.new_trial(bars_spec(), fit=True)
    same = torch.equal(first.sample(), again.sample())
    require(same, f"{case.name} gives other samples for the same seed; draw from run.generator and torch's global one")
    different = not torch.equal(first.sample(), first.sample(seed=1))
    require(different, f"{case.name} gives the same samples for every seed; draw from run.generator")


def check_saved_model(case: MethodCase) -> None:
    """A new instance with the saved state gives the same samples and the same total number of parameters."""
    import torch

    trial = case.fitted
    with must_work(
        f"sampling from a new {case.name} with the saved state (which has all that prepare and fit learned)"
    ):
        restored = case.plugin(trial.config, trial.spec)
        restored.load_state_dict({name: t.detach().clone() for name, t in trial.method.state_dict().items()})
        same = torch.equal(trial.sample(), trial.sample(by=restored))
    require(same, f"{case.name} samples differently after saving; keep everything that sample uses in state_dict")
    totals = [m.parameters()[1] for m in (trial.method, restored)]
    what = f"{totals[0]} parameters, after saving {totals[1]}; count those that state_dict keeps"
    require(totals[0] == totals[1], f"{case.name} counts {what}")


def check_resumed(case: MethodCase) -> None:
    """A trial that is killed during `fit` and started again spends the same plan and gives the same samples."""
    import torch

    from dpbench.contracts.small_trial import Killed

    whole = case.fitted
    killed, resumed = (case.new_trial(bars_spec(), fit=False, attempt="resumed") for _ in range(2))
    with must_work(f"training {case.name} up to a kill"), suppress(Killed):
        killed.fit_until(releases=sum(whole.ledger.spent.values()) // 2 + 1)
    with must_work(f"continuing {case.name} after a kill (start from run.generator and what prepare learned, alone)"):
        resumed.fit_after(killed)
        resumed.ledger.check_complete()
    same = torch.equal(whole.sample(), resumed.sample())
    require(same, f"{case.name} samples differently after a kill; keep no state but that of `train` and the queries")


def check_parameters(case: MethodCase) -> None:
    """The number of privately trained parameters is at most the total."""
    private, total = case.fitted.method.parameters()
    require(
        0 <= private <= total, f"{case.name} counts {private} private parameters of {total}; return (private, total)"
    )


def check_files(case: MethodCase) -> None:
    """Nothing is written into the working directory; files that a method keeps belong in `run.folder`."""
    written = sorted(path.name for path in (case.fitted.folder / "elsewhere").iterdir())
    require(not written, f"{case.name} writes {', '.join(written)} into the working directory; use run.folder")


def check_shared_state(case: MethodCase) -> None:
    """`fit` and `sample` leave nothing on classes and modules, where the next trial would find it."""
    with must_work(f"preparing {case.name}"):
        trial = case.new_trial(bars_spec(), fit=False)
    try:
        with unchanged(case.plugin):
            trial.fit()
            trial.sample()
    except PrivacyError as error:
        raise ContractError(f"{case.name}: {error}") from error


def check_imports(case: MethodCase) -> None:
    """The method imports no data, metrics or results, and no other method."""
    module = case.plugin.__module__
    package = module.split(".")[2] if module.startswith("dpbench.methods.") else ""
    for name in imported_names(case.plugin):
        parts = name.split(".")
        another = parts[:2] == ["dpbench", "methods"] and len(parts) > 2 and parts[2] not in ("cores", package)
        is_refused = another or name.startswith(OUT_OF_REACH)
        require(
            not is_refused,
            f"{case.name} imports {name}; import from dpbench itself, and learn from the arguments alone",
        )


def _require_images(case: MethodCase, images: Tensor, shape: tuple[int, ...]) -> None:
    import torch

    found = f"{images.dtype} {list(images.shape)}"
    is_right = images.dtype == torch.uint8 and tuple(images.shape) == shape
    require(is_right, f"sample of {case.name} must return uint8 images {list(shape)}, not {found}")


CHECKS: tuple[Callable[[MethodCase], None], ...] = (
    check_summary,
    check_plan_is_fixed,
    check_unsuitable_data,
    check_presets,
    check_public_part_alone,
    check_unlabelled_public_part,
    check_budget_is_spent,
    check_images,
    check_unconditional,
    check_seeds,
    check_saved_model,
    check_resumed,
    check_parameters,
    check_files,
    check_shared_state,
    check_imports,
)
"""For every method."""

BUILTIN_CHECKS: tuple[Callable[[MethodCase], None], ...] = (*CHECKS, check_planned_without_torch)
"""For the methods of dpbench itself, which are listed and planned without torch."""

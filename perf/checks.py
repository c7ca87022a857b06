"""Cost of the vault's checks: seconds per private phase and share of the step time, per built-in method.

    python perf/checks.py

Every method runs `--steps` DP-SGD steps of the private phase of its `small` preset on the embedded `shapes` dataset,
from untrained weights. All numbers are CPU seconds, summed over threads. Columns:

- start: the checks before the first step, and those of noisy sums and of `derive`.
- again: one repeated check, which runs after steps 1, 2, 4, 8, ... and before the last step.
- per step: the checks of every step, which compare the model before and after and watch the first call of the loss.
- phase: extrapolation to the preset's number of steps: start + repeated checks + per step · steps.
- share: phase without start, relative to the time of the steps without checks.
- with start: phase, relative to the same time.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.benchmark.configure import configure
from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.data import DataOptions
from dpbench.core.specs import Budget, Conditions, Request
from dpbench.data.opening import open_dataset
from dpbench.privacy import checked_gradients, vault
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.checks import model_state
from dpbench.privacy.checks.loss_checks import LossChecks
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import DPSGD
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.stepper import DPSGDStepper
from dpbench.privacy.vault import Vault

METHODS = {
    "wavelet": {},
    "dp-sgd": {},
    "privimage": {"classifier_steps": 1, "public_steps": 1, "selected_steps": 1},
    "dpdm": {},
    "dp-feta": {"warmup_steps": 1},
    "dp-ar": {},
    "dp-feta-pro": {"warmup_steps": 1, "generator_steps": 1, "generated_images": 100, "generated_steps": 1},
    "dp-merf": {"steps": 1},
}
"""Built-in methods, with settings that shorten their public part, which has no checks."""

CHECKS: list[tuple[Any, str, str]] = [
    (vault, "check_closure", "start"),
    (Probes, "derive", "start"),
    (LossChecks, "look", "start"),
    (LossChecks, "check", "start"),
    (checked_gradients, "check_gradients", "start"),
    (checked_gradients, "check_engine", "start"),
    (LossChecks, "_check_again", "again"),
    (LossChecks, "before_step", "per step"),
    (model_state, "_state", "per step"),
]
"""(owner, function, kind). Time in nested calls counts for the outer function."""


class Enough(BaseException):
    """Ends a private phase early, before a step of `stepper`."""

    def __init__(self, stepper: DPSGDStepper):
        self.stepper = stepper


@contextmanager
def timed_checks(stop: int) -> Iterator[tuple[dict[str, list[float]], list[float]]]:
    """(seconds per kind of check and call, seconds per step), updated while the functions of `CHECKS` run."""
    spent: dict[str, list[float]] = defaultdict(list)
    taken: list[float] = []
    inside = [False]
    step = DPSGDStepper.__next__

    def timed(function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if inside[0] and kind != "again":
                return function(*args, **kwargs)
            outer, inside[0] = inside[0], True
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.process_time() - start
                inside[0] = outer
                spent[kind].append(took)
                if outer:  # a repeated check is not part of the cost of every step
                    spent["per step"].append(-took)

        return call

    def timed_step(stepper: DPSGDStepper) -> Any:
        if len(taken) == stop:
            raise Enough(stepper)
        start = time.process_time()
        receipt = step(stepper)
        taken.append(time.process_time() - start)
        return receipt

    with ExitStack() as stack:
        for owner, name, kind in CHECKS:
            stack.enter_context(patch.object(owner, name, timed(getattr(owner, name), kind)))
        stack.enter_context(patch.object(DPSGDStepper, "__next__", timed_step))
        yield spent, taken


def watch(stepper: DPSGDStepper, repeats: int = 5) -> float:
    """Additional seconds for watching one call of the loss: the difference of the minima of alternating timings."""
    gradients = stepper._gradients
    checks, engine = gradients.checks, gradients.engine
    batch = checks._probes.take(gradients.records_per_call)[0].repeat(gradients.views)
    took: dict[bool, list[float]] = {False: [], True: []}
    for watched in [False, True] * repeats:
        generator = torch.Generator().manual_seed(0)
        if watched:
            checks.watched.watch_next()
        start = time.process_time()
        values = engine.loss(engine.model, batch, generator)
        del values
        checks.watched.refuse_kept()
        took[watched].append(time.process_time() - start)
    return max(0.0, min(took[True]) - min(took[False]))


def repeated_checks(steps: int) -> int:
    """Number of repeated checks of the loss in a training with this number of steps."""
    due = {2**k for k in range(steps.bit_length())} | {steps - 1}
    return sum(0 < done < steps for done in due)


def measure(name: str, dataset: str, stop: int, root: Path) -> tuple[str, ...]:
    """The line of one method."""
    torch.manual_seed(0)
    data = open_dataset(dataset, DataOptions(root))
    [configured] = configure([name], dataset, "small", METHODS[name])
    method = configured.method(configured.config, data.spec)
    plan = method.plan(configured.config, data.spec, Request(Conditions.balanced(100, data.spec.n_classes)))
    private = Vault(data.train(), data.spec, Ledger(calibrate(plan, Budget(1.0, 1e-5))), NoiseSource())
    run = RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(root))
    with timed_checks(stop) as (spent, taken):
        try:
            method.fit(private, run)
        except Enough as enough:
            watching = watch(enough.stepper)
    start = sum(spent["start"])
    if not taken:
        return name, "0", f"{start:.2f}", "", "", f"{start:.2f}", "", "", ""
    steps = sum(m.releases for m in plan.mechanisms if isinstance(m, DPSGD))
    again = statistics.mean(spent["again"])
    every = sum(spent["per step"]) / len(taken) + watching
    own = (sum(taken) - sum(spent["again"])) / len(taken) - every
    later = repeated_checks(steps) * again + steps * every
    share, whole = later / (steps * own), (start + later) / (steps * own)
    return (
        name, str(steps), f"{start:.2f}", f"{again:.3f}", f"{every:.4f}", f"{start + later:.2f}", f"{own:.3f}",
        f"{share:.2%}", f"{whole:.2%}",
    )  # fmt: skip


def main(
    method: Annotated[list[str] | None, typer.Option(help=f"repeatable; one of {', '.join(METHODS)}")] = None,
    dataset: Annotated[str, typer.Option(help="name of the sensitive dataset")] = "shapes",
    steps: Annotated[int, typer.Option(help="number of private steps")] = 6,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for torch's default")] = 0,
    root: Annotated[Path, typer.Option(help="data folder")] = Path("data"),
) -> None:
    """Prints the table."""
    if threads:
        torch.set_num_threads(threads)
    columns = ("method", "steps", "start", "again", "per step", "phase", "step", "share", "with start")
    table = Table(*columns, title=f"CPU seconds of checks; {dataset}, {torch.get_num_threads()} threads")
    for name in method or METHODS:
        table.add_row(*measure(name, dataset, steps, root))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)

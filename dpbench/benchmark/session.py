"""A session: the state that one command shares, and its set-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from dpbench.benchmark.inputs import Inputs
from dpbench.benchmark.processes import Processes, join_processes
from dpbench.benchmark.prompts import Prompts, choose_prompts
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.timetable import Timetable
from dpbench.benchmark.tracking.tracking import Tracking
from dpbench.core.cache import public_cache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.context import Precision, RunContext
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest
from dpbench.core.folders import cache_folder, check_writable, state_folder
from dpbench.core.progress import Display, Progress, Quiet
from dpbench.core.progress_lines import ProgressLines, Together
from dpbench.core.seal import Seal
from dpbench.core.specs import Request
from dpbench.training.device import resolve_device, resolve_precision


@dataclass(frozen=True)
class Session:
    """The state that the trials of one command share.

    Attributes:
        request: the request.
        processes: this process among those that torchrun started.
        precision: the precision of the models.
        inputs: the sensitive dataset and the public source.
        seal: closes datasets while a method works.
        display: where progress shows.
        timetable: measures the phases, and estimates the time left.
        tracking: the trackers that follow the trials.
        code_outside: hashes of code, keyed by the ids of objects that live as long as the session; see `trial_code`.
    """

    request: RunRequest
    processes: Processes
    precision: Precision
    inputs: Inputs
    seal: Seal
    display: Display
    timetable: Timetable = field(default_factory=Timetable)
    tracking: Tracking = field(default_factory=Tracking)
    code_outside: dict[tuple[int, ...], str] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(
        cls, request: RunRequest, display: Display | None = None, *, writes: bool = False, distributed: bool = False
    ) -> Iterator[Session]:
        """The set-up that every command shares: processes, device, precision, datasets.

        No file of a dataset is read yet.

        Args:
            request: the request.
            display: where progress shows; by default nowhere.
            writes: whether the command writes results.
            distributed: whether the processes that torchrun started work on one trial together.

        Raises:
            DpbenchError: the device, the precision or a dataset does not exist, results cannot be written, or a tracker
                is not installed.
        """
        if writes:
            for folder in (request.out, cache_folder(), state_folder()):
                check_writable(folder)
        alone = nullcontext(Processes(resolve_device(request.device)))
        with join_processes(request.device) if distributed else alone as processes:
            precision = resolve_precision(request.precision, processes.device)
            shown = (display if processes.is_rank_zero else None) or Quiet()
            with closing(Tracking(request.track if processes.is_rank_zero else (), request.out)) as tracking:
                yield replace(cls.on(request, processes, precision, shown), tracking=tracking)

    @classmethod
    def on(cls, request: RunRequest, processes: Processes, precision: Precision, display: Display) -> Session:
        """A session on a request's dataset."""
        options = replace(request.data_options, progress=display)
        inputs = Inputs(request.dataset, request.public, options, state_folder())
        return cls(request, processes, precision, inputs, Seal(inputs.dataset.origin), display)

    def with_dataset(self, dataset: str, resolution: int, public_benchmark: bool) -> Session:
        """The same session on another dataset."""
        request = replace(self.request, dataset=dataset, resolution=resolution, public_benchmark=public_benchmark)
        return Session.on(request, self.processes, self.precision, self.display)

    @cached_property
    def prompts(self) -> Prompts | None:
        """The prompts of samples; None for a dataset without captions.

        Raises:
            DpbenchError: as `choose_prompts`, or prompts are given for a dataset without captions.
        """
        dataset, file = self.inputs.dataset, self.request.prompts
        if dataset.spec.condition == "captions":
            return choose_prompts(dataset, file, self.request.samples)
        if file is not None:
            raise DpbenchError(f"--prompts is for datasets with captions, and {dataset.spec.name} has none")
        return None

    @property
    def sampled(self) -> Request:
        """The samples that every trial draws.

        Raises:
            DpbenchError: as `prompts`.
        """
        return self.request.samples_of(self.inputs.spec, self.prompts.texts if self.prompts else ())

    @property
    def device(self) -> str:
        """The device of this process."""
        return self.processes.device

    @property
    def out(self) -> Path:
        """The folder of results."""
        return self.request.out

    @contextmanager
    def phase(
        self,
        name: str,
        seed: int,
        folder: Path | None = None,
        checkpoints: Checkpoints | None = None,
        log: Callable[[str], object] | None = None,
        tracked: Progress | None = None,
    ) -> Iterator[RunContext]:
        """The working environment of one phase of a trial, with generators seeded from the trial's seed and the phase.

        The CPU's generator, which draws initial weights, is restored afterwards. None of this reaches DP noise. The
        public cache is open only in `prepare` and `refine`, even for a method that keeps it. Except in `evaluate`, the
        sensitive dataset and every test split are closed.

        Args:
            name: "prepare", "fit", "sample", "evaluate" or "refine".
            seed: the trial's seed.
            folder: where a method may write; None for nowhere.
            checkpoints: where training stores its state; by default nowhere.
            log: also writes each line of progress, e.g. to a log file.
            tracked: also receives progress; see `Tracking.of`.
        """
        cache = public_cache(name not in ("prepare", "refine"), self.precision)
        sealed = nullcontext() if name == "evaluate" else self.seal.closed()
        with seeded(seed, name) as generator, sealed, self.timetable.stage(name):
            stored = checkpoints or Checkpoints(None)
            lines = [ProgressLines(log)] if log else []
            progress = Together(self.display, self.timetable, *lines, *([tracked] if tracked else []))
            may_show = name == "prepare" or self.inputs.spec.public_benchmark
            yield RunContext(self.device, generator, cache, progress, folder, self.precision, stored, may_show)
            cache.close()


@contextmanager
def seeded(seed: int, phase: str) -> Iterator[torch.Generator]:
    """A generator for one phase of a trial, seeded from the trial's seed and the phase's name.

    The global generators of all devices are seeded in the same way; that of the CPU is restored afterwards.
    """
    phase_seed = int(digest([seed, phase]), 16) % 2**63
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(phase_seed)
        yield torch.Generator().manual_seed(phase_seed)

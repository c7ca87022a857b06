"""`dpbench run` as a function: checks everything, then runs every trial that is not finished yet.

import dpbench
rows = dpbench.run(["wavelet", "dp-merf"], dataset="shapes", epsilons=[1, 10], seeds=3)
print(rows[["method", "epsilon", "seed", "accuracy", "fwd"]])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from dpbench.benchmark.bench import Bench
from dpbench.benchmark.configure import DEFAULT_PRESET, configure
from dpbench.benchmark.execute import execute, follow
from dpbench.benchmark.finish import discard, finish, settle
from dpbench.benchmark.launch import launched
from dpbench.benchmark.lock import locked
from dpbench.benchmark.places import data_folder
from dpbench.benchmark.planning import Planner
from dpbench.benchmark.scoring import known_columns, metric_columns
from dpbench.benchmark.sources import Sources
from dpbench.benchmark.sweep import Sweep, make_trials, uses_public
from dpbench.benchmark.trial import FRAME, Trial
from dpbench.core.context import PublicCache
from dpbench.core.data import DataOptions
from dpbench.core.folders import cache_folder, check_writable, state_folder
from dpbench.core.method import Method
from dpbench.core.progress import Display, Quiet, track
from dpbench.evaluation.evaluator import default_metrics
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.plan import CalibratedPlan
from dpbench.results.gathering import FILE, collect, read_rows, write_csv
from dpbench.results.store import TRIAL
from dpbench.training.device import resolve_precision


def run(
    methods: str | Sequence[str],
    dataset: str = "shapes",
    epsilons: Iterable[float] = (1.0,),
    *,
    delta: float | None = None,
    seeds: int = 1,
    public: str = "textures",
    references: Iterable[str] = FRAME,
    preset: str = DEFAULT_PRESET,
    settings: Mapping[str, Any] | None = None,
    samples: int = 10_000,
    metrics: Sequence[str] | None = None,
    device: str = "auto",
    precision: str = "auto",
    data: Path | None = None,
    download: bool = False,
    resolution: int | None = None,
    public_benchmark: bool = False,
    out: Path | str = Path("results"),
    force: bool = False,
    noise_seed: int | None = None,
    display: Display | None = None,
) -> pd.DataFrame:
    """Runs methods × budgets × seeds on a dataset, skipping what is finished, and writes OUT/leaderboard.csv.

    Args:
        methods: names of registered methods, or one name; settings of its own in brackets make a variant of a method,
            e.g. ["wavelet", "wavelet[codes=128]"].
        dataset: name of the sensitive dataset.
        epsilons: positive privacy budgets; infinity is the non-private reference.
        delta: δ, by default 1 / (n ln n).
        seeds: how many seeds to run, counted from 0.
        public: name of the public source, for methods that use one.
        references: reference rows to add, of "real", "public", "nonprivate".
        preset: settings to start from.
        settings: key -> value over the preset, or "METHOD:key" -> value for one of several methods; brackets win.
        samples: images to generate and score.
        metrics: names of metrics, by default all.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "auto" (bf16 on CUDA devices that support it, fp32 elsewhere), "fp32" or "bf16".
        data: data folder, by default DPBENCH_DATA or the user's cache.
        download: whether missing datasets may be downloaded.
        resolution: of the images, by default the dataset's own.
        public_benchmark: declares a folder of images a public benchmark (rule R9).
        out: where results go.
        force: run finished trials again.
        noise_seed: reproducible DP noise, for tests only; marks the rows.
        display: where progress shows.

    Returns:
        One line per trial, in the order in which they ran; columns as in `results.row`.

    Raises:
        DpbenchError: anything is wrong with the request (then nothing has been written), or a trial fails (then
            finished ones are kept, and the same call goes on after them).
    """
    out = Path(out)
    sweep = Sweep(tuple(epsilons), seeds, samples, tuple(references), delta, noise_seed)
    metrics = default_metrics() if metrics is None else list(dict.fromkeys(metrics))
    metric_columns(metrics)
    check_writable(out)
    chosen = configure([methods] if isinstance(methods, str) else methods, dataset, preset, settings or {})
    options = DataOptions(data_folder(data), resolution, download, public_benchmark)
    source = public if any(uses_public(m) or m.auto for m in chosen) else None
    cache = PublicCache(cache_folder() / "public")
    with launched(device) as launch:
        display = (display if launch.leads else None) or Quiet()
        computed_in = resolve_precision(precision, launch.device)
        with launch.rank_zero_first():  # a download or a cache is made once
            sources = Sources(dataset, source, options, state_folder())
            request, delta = sweep.request(sources.spec), sweep.delta_for(sources.spec)
            for m in chosen:
                m.method.plan(m.config, sources.spec, request)
            fingerprint = sources.fingerprint(sources.train)
            planner = Planner(sources, request, delta, launch.device, computed_in, cache, display)
            trials = list(make_trials(chosen, sweep, sources.spec, fingerprint, sources.public_source, planner.at))
        if "public" in sweep.references:
            for m in chosen:
                if not uses_public(m):
                    display.say(f"{m.title} uses no public data: it has no public reference row")
        classes = {m.title: m.method for m in chosen}
        new = {t.key for t in trials if t.reference != "real" and (force or not t.subject(out).is_sampled)}
        new = launch.broadcast(new)
        todo = [trial for trial in trials if trial.key in new]
        calibrated = {
            t.key: calibrate(classes[t.title].plan(t.config, t.spec, t.request), t.budget)
            for t in track(display, todo, "calibrating", len(todo))
        }
        bench = Bench(sources, launch, computed_in, cache, display, out)
        try:
            for number, trial in enumerate(trials, start=1):
                display.say(f"[{number}/{len(trials)}] {trial}")
                _finish(trial, classes.get(trial.title), calibrated.get(trial.key), metrics, bench, force)
                launch.barrier()
        finally:
            if launch.leads and any((trial.folder(out) / TRIAL).exists() for trial in trials):
                write_csv(collect(out, known_columns()), out / FILE)
    return read_rows([trial.folder(out) for trial in trials], metric_columns(metrics))


def _finish(
    trial: Trial,
    method: type[Method[Any]] | None,
    plan: CalibratedPlan | None,
    metrics: Sequence[str],
    bench: Bench,
    force: bool,
) -> None:
    """Does what is left to do of a trial, and says what came out."""
    subject = trial.subject(bench.out)
    with locked(subject.folder, bench.display) if bench.launch.leads else nullcontext():
        if force and bench.launch.leads:
            discard(subject.folder)
        sampled = bench.launch.broadcast(bench.launch.leads and subject.is_sampled)
        if bench.launch.leads:
            make = partial(execute, trial, method, plan, bench)
            settle(subject, metrics, bench.display, lambda left: finish(subject, left, bench, make))
        elif not sampled:
            follow(trial, method, plan, bench)

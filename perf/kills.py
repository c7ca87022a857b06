"""Kills runs at random moments, continues them, and checks that nothing was lost.

    python perf/kills.py
    python perf/kills.py --kills 1000 --method wavelet

Tiny trials run one after the other, each in processes that are killed (SIGKILL) at random moments, until one lives
long enough to finish it. Then the trial must be whole: one private run in the record, every planned release spent once,
correct checksums of samples, model and ledger, no unfinished file, no checkpoint. Needs processes that can fork.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import fakes
from killing import check_whole, in_a_child, was_killed

import dpbench
from dpbench.benchmark.commands.running import run
from dpbench.training import loop

SETTINGS: dict[str, dict[str, Any]] = {
    "fake": {},
    "wavelet": {
        "levels": 1, "codes": 8, "tokenizer_steps": 3, "tokenizer_dim": 8, "dim": 16, "depth": 1, "heads": 2,
        "public_steps": 5, "public_batch": 8, "batch": 50, "steps": 6, "refiner.name": "bicubic",
    },
}  # fmt: skip
"""Settings of tiny trials: one noisy sum, and training with DP-SGD after public pretraining."""


class Campaign:
    """Trials of one method in a folder, with counts of kills, trials and losses.

    Args:
        method: a key of `SETTINGS`.
        root: the folder.
        draws: generator of the random moments.
    """

    def __init__(self, method: str, root: Path, draws: random.Random):
        self.method, self.root, self.draws = method, root, draws
        self.trials = self.kills = self.lost = 0
        start = time.monotonic()
        assert not was_killed(in_a_child(lambda: self._run(0)))
        self.length = time.monotonic() - start

    def one_trial(self) -> None:
        """Runs a trial, killed until it is finished, and checks it."""
        self.trials += 1
        try:
            while self._attempt():
                self.kills += 1
            assert not was_killed(in_a_child(self._check))
        except AssertionError:  # its traceback is above
            self.lost += 1

    def _attempt(self) -> bool:
        """Runs one attempt; returns whether it was killed."""
        child = in_a_child(lambda: self._run(self.trials))
        time.sleep(self.draws.uniform(0, 1.2 * self.length))
        os.kill(child, signal.SIGKILL)  # a child that has ended stays a zombie until waitpid
        return was_killed(child)

    def _run(self, number: int) -> str:
        rows = run(
            self.method, "tiny", [1.0], public="tiny-public", delta=1e-6, samples=10 + number, metrics=["brightness"],
            references=(), settings=SETTINGS[self.method], device="cpu", out=self.root / str(number),
        )  # fmt: skip
        return rows["key"].item()

    def _check(self) -> None:
        check_whole(self.root / str(self.trials), self._run(self.trials))


def main(
    kills: Annotated[int, typer.Option(help="number of kills per method")] = 300,
    method: Annotated[list[str] | None, typer.Option(help=f"repeatable; one of {', '.join(SETTINGS)}")] = None,
    seed: Annotated[int, typer.Option(help="of the random moments")] = 0,
) -> None:
    """Prints the table; the exit code is 1 if anything was lost."""
    torch.set_num_threads(1)  # a fork has no other threads
    loop.CHECKPOINT_SECONDS = 0.0
    dpbench.DATASETS.register("tiny")(fakes.Tiny)
    dpbench.DATASETS.register("tiny-public")(fakes.TinyPublic)
    dpbench.METHODS.register("fake")(fakes.FakeMean)
    dpbench.METRICS.register("brightness")(fakes.Brightness)
    table = Table("method", "kills", "trials", "lost", title="kills at random moments")
    lost = 0
    for name in method or SETTINGS:
        with TemporaryDirectory() as root:
            for folder in ("CACHE", "DATA", "STATE"):
                os.environ[f"DPBENCH_{folder}"] = str(Path(root, folder))
            campaign = Campaign(name, Path(root, "out"), random.Random(seed))
            while campaign.kills < kills:
                campaign.one_trial()
        table.add_row(name, *map(str, (campaign.kills, campaign.trials, campaign.lost)))
        lost += campaign.lost
    Console().print(table)
    raise typer.Exit(int(lost > 0))


if __name__ == "__main__":
    typer.run(main)

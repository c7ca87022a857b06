"""What a row says of the time that public training took."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import fakes
import torch

import dpbench
from dpbench import METHODS


def test_public_training_that_came_from_the_cache_took_as_long_as_when_it_was_made(tiny: Path) -> None:
    made = []

    @METHODS.register("slow")
    class Slow(fakes.FakeMean):
        def prepare(self, public: Any, run: Any) -> None:
            def train(generator: torch.Generator) -> dict[str, torch.Tensor]:
                made.append(1)
                time.sleep(0.3)
                return {"a": torch.zeros(1)}

            run.cache.get("slow", 1, train)
            super().prepare(public, run)

    rows = dpbench.run(
        "slow", "tiny", [1, 2], public="tiny-public", samples=10, delta=1e-6, metrics=["brightness"], references=(),
        device="cpu", out=tiny,
    )  # fmt: skip
    assert len(made) == 1
    assert (rows["seconds_prepare"] >= 0.3).all()

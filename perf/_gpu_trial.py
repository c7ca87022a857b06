"""Complete trials as in `dpbench run`, with reduced settings.

Caches and results are in temporary folders, so trials use no earlier files and leave none. Trials share only the
images, which take longer to generate than some methods take to train.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

import dpbench
from perf._gpu_checks import Check, Setting, Value

EPSILON = 10.0

PHASES = ("prepare", "fit", "sample", "evaluate")

COLUMNS = ("verified", "ε spent", "score", *PHASES, "MiB")

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "wavelet": {"tokenizer_steps": 200, "public_steps": 200, "steps": 30, "refiner.steps": 100},
    "dp-sgd": {"public_steps": 100, "batch": 512, "steps": 20, "sampling_steps": 10},
}
"""Settings applied over the preset "small", per method; trials take seconds on a GPU."""

TINY: Mapping[str, Mapping[str, Any]] = {
    "wavelet": {
        "tokenizer_steps": 2, "public_steps": 2, "dim": 16, "depth": 1, "heads": 2, "batch": 64, "steps": 2,
        "refiner.steps": 2, "refiner.width": 8, "refiner.depth": 1,
    },
}  # fmt: skip


def checks(setting: Setting) -> Iterator[Check]:
    """One check per method."""
    for method, settings in (TINY if setting.tiny else SETTINGS).items():
        yield Check(method, COLUMNS, partial(_run, setting, method, settings))


def _run(setting: Setting, method: str, settings: Mapping[str, Any]) -> Mapping[str, Value]:
    return judged(row_of(setting, method, settings))


def row_of(setting: Setting, method: str, settings: Mapping[str, Any], preset: str = "small") -> Mapping[str, Any]:
    """The row of a trial; none of its files is kept."""
    data = Path(_data().name)
    dataset, public = (_noise(data, 0), _noise(data, 1)) if setting.tiny else ("shapes", "textures")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = {"DPBENCH_DATA": data, "DPBENCH_CACHE": folder / "cache", "DPBENCH_STATE": folder / "state"}
        with patch.dict(os.environ, {variable: str(place) for variable, place in places.items()}):
            rows = dpbench.run(
                method, dataset, [EPSILON], references=(), public=public, preset=preset, settings=settings,
                samples=20 if setting.tiny else 1000, metrics=["fwd"], device=setting.device, public_benchmark=True,
                out=folder / "results",
            )  # fmt: skip
    row: Mapping[str, Any] = rows.iloc[0]
    return row


@cache
def _data() -> tempfile.TemporaryDirectory[str]:
    """The folder of the datasets, for all trials of the process."""
    return tempfile.TemporaryDirectory()


def _noise(data: Path, seed: int) -> str:
    """Writes a dataset of random images. Generating shapes and textures would take a minute on two cores."""
    folder, draws = data / f"{seed}", np.random.default_rng(seed)
    for split, count in (("train", TINY["wavelet"]["batch"]), ("test", 20)):
        images = draws.integers(256, size=(count, 16, 16, 3), dtype=np.uint8)
        for number, image in enumerate(images):
            path = folder / split / f"{number % 2}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return f"folder:{folder}"


def judged(row: Mapping[str, Any]) -> Mapping[str, Value]:
    """Checks the row of a trial with a finite budget: verified, and the budget spent but not exceeded."""
    spent, score = float(row["epsilon_spent"]), float(row["fwd"])
    is_verified = (row["accounting"], row["noise"]) == ("verified", "secret")
    return {
        "verified": Value(None, is_verified, f"accounting {row['accounting']}, noise {row['noise']}"),
        "ε spent": Value(spent, 0.995 * EPSILON <= spent <= EPSILON),
        "score": Value(score, math.isfinite(score), "Fréchet distance of wavelet packets"),
        **{phase: Value(float(row[f"seconds_{phase}"]), None, "seconds") for phase in PHASES},
        "MiB": Value(float(row["peak_memory_mb"]), None, f"peak; computed in {row['computed_in']}"),
    }

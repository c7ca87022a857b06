"""Every plugin in `mistakes/` is refused with the message that it states, or runs as it says; see docs/privacy.md."""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from mistakes_table import DOCS, MISTAKES, with_table

import dpbench
from dpbench import DpbenchError
from dpbench.core.plugin_files import load_plugin


@pytest.fixture
def run(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pd.DataFrame]:
    """Runs the method called "mistake" as a user would; `keywords["out"]` is where results go."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    data = tiny.parent / "data"
    data.mkdir()
    options = {"samples": 10, "metrics": ["brightness"], "references": (), "device": "cpu", "data": data}
    return partial(dpbench.run, "mistake", delta=1e-6, out=tiny, **options)


@pytest.mark.parametrize("path", MISTAKES, ids=[path.stem for path in MISTAKES])
def test_a_mistake_is_caught_or_harmless_as_its_file_says(run, path: Path) -> None:
    mistake = load_plugin(path)
    run.keywords["dataset"] = getattr(mistake, "DATASET", "tiny")
    attempt = partial(getattr(mistake, "attempt", lambda run: run()), run)
    if refused := getattr(mistake, "REFUSED", None):
        with pytest.raises(DpbenchError, match=refused) as caught:
            attempt()
        check_line(path, str(caught.value))
        assert not verified_rows(run.keywords["out"])
        return
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        row = attempt().iloc[0]
    messages = [str(warning.message) for warning in warned]
    assert any(re.search(getattr(mistake, "WARNED", ""), message) for message in [*messages, ""])
    for column, value in getattr(mistake, "MARKED", {"accounting": "verified", "noise": "secret"}).items():
        assert row[column] == value or (math.isnan(value) and pd.isna(row[column]))


def check_line(path: Path, message: str) -> None:
    """A message that names a line of the plugin names the one with the mistake."""
    lines = path.read_text(encoding="utf-8").splitlines()
    marked = [number for number, line in enumerate(lines, 1) if "# the mistake" in line]
    named = [int(number) for number in re.findall(rf"{path.name}:(\d+)", message)]
    assert named in ([], marked), message


def verified_rows(out: Path) -> list[Path]:
    return [path for path in out.rglob("trial.json") if is_verified(path)]


def is_verified(path: Path) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["accounting"] == "verified"
    except ValueError:  # damaged by the mistake
        return False


def test_the_table_in_the_docs_is_that_of_the_files() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert page == with_table(page), "run python tests/privacy/mistakes_table.py"
    assert len(MISTAKES) > 100

"""The plugins of docs/plugins.md keep the promises of their kinds, and are checked as the page says."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dpbench import DATASETS, EXTRACTORS, METHODS, METRICS, REFINERS, DataOptions
from dpbench.contracts import datasets, extractors, methods, metrics, refiners
from dpbench.core.plugin_files import load_plugin

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "plugins.md"

FLOW = {"steps": 2, "batch": 50, "sampling_steps": 2}

CASES: dict[str, tuple[Any, Callable[[Path], Any]]] = {
    "flow": (methods, lambda folder: methods.MethodCase(METHODS, "flow", folder, FLOW)),
    "sharpness": (metrics, lambda folder: metrics.MetricCase(METRICS, "sharpness", folder)),
    "histogram": (metrics, lambda folder: metrics.MetricCase(METRICS, "histogram", folder)),
    "histogram extractor": (extractors, lambda folder: extractors.ExtractorCase(EXTRACTORS, "histogram", folder)),
    "unsharp": (refiners, lambda folder: refiners.RefinerCase(REFINERS, "unsharp", folder)),
    "stripes": (
        datasets,
        lambda folder: datasets.DatasetCase(DATASETS, "stripes", folder, options=DataOptions(folder)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_examples_keep_their_promises(name: str, tmp_path: Path, registries: None) -> None:
    load_plugin(TESTS / f"plugin_{name.split()[0]}.py")
    contract, make = CASES[name]
    case = make(tmp_path)
    for check in contract.CHECKS:
        check(case)


def test_the_test_that_the_page_shows_passes(tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(
        r"^```python\n(import pytest\n.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    monkeypatch.setitem(sys.modules, "plugin_mean", load_plugin(TESTS / "plugin_mean.py"))
    namespace: dict[str, Any] = {}
    exec(block, namespace)
    for check in namespace["CHECKS"]:
        namespace["test_mean_keeps_the_promises_of_methods"](check, tmp_path / check.__name__)

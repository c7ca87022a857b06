"""The metric of one file in docs/plugins.md, through the whole evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpbench.core.plugin_files import load_plugin
from dpbench.evaluation.evaluator import default_metrics, evaluate

PLUGIN = Path(__file__).parents[1] / "plugin_sharpness.py"


def test_a_metric_of_one_file_is_computed_by_default(registries, make_images, noise, run) -> None:
    load_plugin(PLUGIN)
    assert "sharpness" in default_metrics()
    images, others = noise(300), noise(300, seed=1)
    same = evaluate(["sharpness"], make_images(images), make_images(others), run)
    assert same.values["sharpness_error"] == pytest.approx(0, abs=0.05)
    assert 0 < same.ci95["sharpness_error"] < 0.05
    flatter = evaluate(["sharpness"], make_images(images // 2), make_images(others), run)
    assert flatter.values["sharpness_error"] == pytest.approx(0.75, abs=0.02)

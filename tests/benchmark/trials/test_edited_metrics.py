"""Scores of an edited metric or extractor of a plugin are computed again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import events
import pytest

import dpbench
from dpbench import EXTRACTORS, METRICS
from dpbench.core import closure
from dpbench.core.plugin_files import load_plugin

METRIC = """
from dpbench import METRICS, Column, Metric

@METRICS.register("shift")
class Shift(Metric):
    columns = (Column("shift", "low", "difference of means"),)

    def compute(self, evaluation):
        synthetic, real = evaluation.features("doubled")
        return {"shift": 1 * (synthetic.at_most(10).mean() - real.at_most(40).mean())}
"""

EXTRACTOR = """
from dpbench import EXTRACTORS, Extractor

@EXTRACTORS.register("doubled")
class Doubled(Extractor):
    description = "pixels, doubled"

    def __call__(self, images):
        return 2 * images.flatten(1).float()
"""


@pytest.fixture
def shift(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., float]:
    """shift(metric, extractor) is the score of one trial, scored in a new process by plugins with these sources."""
    monkeypatch.setattr(closure, "STARTED", float("inf"))
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    def score(metric: str = METRIC, extractor: str = EXTRACTOR) -> float:
        METRICS.unregister("shift")
        EXTRACTORS.unregister("doubled")
        for name, text in {"doubled.py": extractor, "shift.py": metric}.items():
            path = tmp_path / name
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
            load_plugin(path)
        rows = dpbench.run(
            "fake", "tiny", public="tiny-public", samples=10, delta=1e-6, metrics=["shift"], references=(),
            device="cpu", out=tiny,
        )  # fmt: skip
        return float(rows["shift"][0])

    return score


@pytest.mark.parametrize(
    ("edit", "factor"),
    [
        (lambda: {"metric": METRIC.replace("1 *", "3 *")}, 3),
        (lambda: {"extractor": EXTRACTOR.replace("2 *", "8 *")}, 4),
    ],
    ids=["metric", "extractor"],
)
def test_edited_plugin_scores_again(
    shift: Callable[..., float], edit: Callable[[], dict[str, str]], factor: int
) -> None:
    first = shift()
    assert shift(**edit()) == pytest.approx(factor * first)
    assert events.EVENTS.count("fit") == 1


def test_unchanged_plugin_does_not_score_again(shift: Callable[..., float]) -> None:
    first = shift()
    events.EVENTS.clear()
    assert shift(METRIC.replace("def compute", "# compares\n    def compute")) == first
    assert "test" not in events.EVENTS

"""`dpbench show`."""

from __future__ import annotations

from pathlib import Path

import events
from calling import call


def test_show_explains_a_method_and_its_settings(tiny: Path) -> None:
    text = call("show", "fake").stdout
    for part in (
        "A longer explanation.",
        "images",
        "nobody (2020)",
        "spread",
        "float",
        "5.0",
        "pixel noise of the",
        "loud",
    ):
        assert part in text
    assert "hold-out of tiny train" in text


def test_show_explains_a_refiner_and_its_settings(tiny: Path) -> None:
    text = call("show", "residual").stdout
    for part in ("residual: Diffusion of the residual", "arXiv 2501.13349", "sampling_steps", "network evaluations"):
        assert part in text


def test_show_explains_a_metric_and_its_columns(tiny: Path) -> None:
    text = call("show", "classy").stdout
    for part in ("classy: Share of labels that are 1", "share of labels", "high"):
        assert part in text
    assert "haar packets" not in text
    assert "only on request: --metrics rare" in call("show", "rare").stdout


def test_show_calibrates_a_plan_without_opening_the_data(tiny: Path) -> None:
    result = call("show", "fake", "--dataset", "tiny", "--eps", "1,2", "--delta", "1e-6", "--set", "batch=20")
    assert result.exit_code == 0
    for part in ("mean", "NoisySum", "steps", "DPSGD", "0.1", "by PLD", "by RDP", "at δ = 1e-05", "μ = ", "ε = 2"):
        assert part in result.stdout
    assert events.EVENTS == []


def test_show_calibrates_the_plan_of_a_variant(tiny: Path) -> None:
    result = call("show", "fake[batch=20]", "--dataset", "tiny", "--eps", "1", "--delta", "1e-6")
    assert result.exit_code == 0
    for part in ("fake: The noisy mean", "plan of fake [batch=20] on tiny", "DPSGD"):
        assert part in result.stdout


def test_show_rejects_unknown_methods(tiny: Path) -> None:
    result = call("show", "fak")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: unknown method, refiner or metric 'fak'; did you mean fake?\n",
    )

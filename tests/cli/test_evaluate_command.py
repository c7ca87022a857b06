"""`dpbench evaluate` on tiny data."""

from __future__ import annotations

from pathlib import Path

import events
import fakes
import numpy as np
import pandas as pd
import pytest
from calling import call, run
from typer.testing import Result


@pytest.fixture
def images(tiny: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16)).astype(np.uint8)
    np.savez(tiny.parent / "theirs.npz", x=pixels, y=np.arange(20) % 2)
    return tiny.parent / "theirs.npz"


def evaluate(out: Path, *arguments: object) -> Result:
    return call("evaluate", "--metrics", "brightness", "--out", out, "--device", "cpu", *arguments)


def test_external_images_are_added_to_the_leaderboard(images: Path, tiny: Path) -> None:
    run(tiny, "--eps", "10")
    result = evaluate(tiny, images, "--dataset", "tiny", "--eps", "10", "--delta", "1e-6")
    assert result.exit_code == 0
    assert "[1/2] theirs ε=10 (external)" in result.stderr
    for text in ("│ fake ", "│ theirs (external) ", "│ real ", "ε = 10 is claimed, not verified"):
        assert text in result.stdout
    rows = pd.read_csv(tiny / "leaderboard.csv").set_index("method")
    assert rows.loc["theirs", "accounting"] == "claimed, unverified"
    assert "finished already" in evaluate(tiny, images, "--dataset", "tiny", "--eps", "10", "--delta", "1e-6").stderr


def test_all_adds_missing_scores(images: Path, tiny: Path) -> None:
    run(tiny)
    evaluate(tiny, images, "--dataset", "tiny", "--references", "none")
    result = evaluate(tiny, "--all", "--metrics", "classy,brightness")
    assert result.exit_code == 0
    assert "[1/2] fake ε=1 seed 0, tiny" in result.stderr
    assert "[2/2] theirs (external), tiny" in result.stderr
    assert pd.read_csv(tiny / "leaderboard.csv")["classy"].tolist() == [0.5, 0.5]
    assert events.EVENTS.count("fit") == 1
    assert "classy ↑" in result.stdout


def test_unscored_trial_gives_exit_code_3_after_the_table(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny)
    run(tiny, "--dataset", "tiny:plain")
    monkeypatch.setattr(fakes.Tiny, "train", lambda self: fakes.TinyImages(self.spec, 200, 0 if self.argument else 7))
    result = evaluate(tiny, "--all", "--metrics", "brightness,fwd")
    assert result.exit_code == 3
    assert "warning: not scored: fake ε=1 seed 0" in result.stderr
    assert result.stderr.endswith("error: 1 of 2 trials could not be scored; the reasons are above\n")
    assert "tiny:plain, 16×16" in result.stdout
    assert pd.read_csv(tiny / "leaderboard.csv")["fwd"].notna().sum() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give IMAGES (a folder, a zip or an .npz) to score them, or --all"),
        (["results", "--all"], "or --all to score the finished trials in --out DIR, not both"),
        (["--all", "--eps", "0"], "--eps is about IMAGES"),
        (["--all", "--public-benchmark"], "--public-benchmark is about IMAGES"),
        (["--all"], "no finished trials are in"),
        (["x.npz"], "name the dataset that the images imitate"),
        (["x.npz", "--dataset", "tiny", "--metrics", "none"], "no metric is named: name at least one"),
        (["--all", "--metrics", "none"], "no metric is named: name at least one"),
        (["/nowhere.npz", "--dataset", "tiny"], "/nowhere.npz does not exist"),
    ],
)
def test_invalid_input_gives_a_one_line_error_and_exit_code_2(tiny: Path, arguments: list[str], message: str) -> None:
    result = evaluate(tiny, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not tiny.exists()


def test_help_shows_both_uses() -> None:
    text = call("evaluate", "--help").stdout
    assert "dpbench evaluate --all --metrics fwd,accuracy" in text
    assert "--name pe --eps 10" in text

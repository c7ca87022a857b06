"""`dpbench plot`: every figure in every format, from what the leaderboard shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import call, run

from dpbench.results.trial_folder import TrialFolder

FIGURES = {
    "epsilon": ("--columns", "brightness"),
    "method": ("--columns", "brightness"),
    "cost": ("--columns", "brightness", "--cost", "queries"),
    "samples": ("--real", "--eps", "1"),
}
BEGINNINGS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def test_figures_are_written_in_every_format(tiny: Path) -> None:
    run(tiny, "--eps", "1,10", "--references", "real,public")
    for (figure, options), (suffix, beginning) in zip(
        FIGURES.items(), [*BEGINNINGS.items(), ("svg", b"<?xml")], strict=True
    ):
        path = tiny.parent / f"{figure}.{suffix}"
        result = call("plot", figure, tiny, *options, "--out", path)
        assert result.exit_code == 0, result.stderr
        assert path.read_bytes().startswith(beginning)
    text = (tiny.parent / "samples.svg").read_text(encoding="utf-8")
    assert all(f">{word}" in text for word in ("dark", "bright", "fake, public", "fake, ε = 1", "real images"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("epsilon", "--columns", "brightness", "--out", "a.gif"), "give a .png, .svg or .pdf file"),
        (("epsilon", "--columns", "brigthness"), "did you mean brightness?"),
        (
            ("cost", "--columns", "brightness", "--cost", "seconds_fit", "--where", "reference=public"),
            "no finished trial",
        ),
        (("cost", "--columns", "brightness", "--cost", "second_fit"), "did you mean seconds_fit"),
        (("epsilon", "--columns", "fwd"), "no row has a value of fwd"),
        (("samples", "--where", "reference=public"), "no finished trial"),
        (("samples", "--count", "1000000"), "320,000 × 1 inches is too large: choose fewer rows"),
    ],
)
def test_wrong_figures_are_one_line(tiny: Path, arguments: tuple[str, ...], said: str) -> None:
    run(tiny)
    result = call("plot", arguments[0], tiny, *arguments[1:])
    assert result.exit_code == 2
    assert said in result.stderr


def test_rows_that_are_not_comparable_share_no_figure(tiny: Path) -> None:
    run(tiny)
    run(tiny, "--samples", "20")
    result = call("plot", "epsilon", tiny, "--columns", "brightness")
    assert "these rows are not comparable" in result.stderr
    path = tiny.parent / "a.png"
    assert (
        call("plot", "epsilon", tiny, "--columns", "brightness", "--where", "n_samples=20", "--out", path).exit_code
        == 0
    )


def test_trials_that_lost_their_samples_are_left_out(tiny: Path) -> None:
    run(tiny, "--eps", "1,10")
    lost, _ = TrialFolder.finished(tiny)
    for file in [*lost.path.rglob("samples*.png"), *lost.path.rglob("samples/*")]:
        file.unlink()
    result = call("plot", "samples", tiny, "--out", tiny.parent / "a.png")
    assert result.exit_code == 0, result.stderr
    assert f"left out {lost.path}" in result.stderr
    assert result.stdout.startswith("1 grid")

"""`dpbench leaderboard`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from calling import call, run


def test_leaderboard_exports_results(tiny: Path) -> None:
    run(tiny, "--seeds", "2")
    path = tiny.parent / "copy.csv"
    result = call("leaderboard", "--out", tiny, "--csv", path, "--dataset", "tiny")
    assert result.exit_code == 0
    assert path.read_bytes() == (tiny / "leaderboard.csv").read_bytes()
    call("leaderboard", "--out", tiny, "--csv", path, "--over-seeds")
    (line,) = pd.read_csv(path).to_dict("records")
    assert line["seeds"] == 2
    assert line["brightness_ci95"] >= 0


def test_leaderboard_reports_missing_results(tiny: Path) -> None:
    assert "there are no results" in call("leaderboard", "--out", tiny).stderr
    run(tiny)
    zero = call("leaderboard", "--out", tiny, "--eps", "0")
    assert (
        zero.stderr == "error: ε = 0 is only for the public reference, which `dpbench run --references public` adds\n"
    )
    assert "did you mean tiny?" in call("leaderboard", "--out", tiny, "--dataset", "tin").stderr
    assert "did you mean brightness?" in call("leaderboard", "--out", tiny, "--by", "brigthness").stderr


def test_notes_are_short_or_in_full(tiny: Path) -> None:
    run(tiny, "--metrics", "brightness,fid,kid,lpips")
    full = "weights 'inception' are not installed; run `dpbench weights get inception`"
    short = call("leaderboard", "--out", tiny).stdout
    assert "no weights: fid, fid_inf, kid, lpips (`dpbench weights list`)" in short
    assert full not in short
    assert f"fid, fid_inf, kid: {full}" in call("leaderboard", "--out", tiny, "--notes").stdout
    assert f"fid, fid_inf, kid: {full}" in pd.read_csv(tiny / "leaderboard.csv")["notes"][0]


def test_over_seeds_without_a_csv_is_an_error(tiny: Path) -> None:
    result = call("leaderboard", "--over-seeds", "--out", tiny)
    assert result.exit_code == 2
    assert "--over-seeds changes the CSV file" in result.stderr


def test_tables_are_written_for_documents(tiny: Path) -> None:
    run(tiny, "--eps", "1,10")
    files = {flag: tiny.parent / f"table.{flag}" for flag in ("markdown", "latex")}
    call("leaderboard", "--out", tiny, "--columns", "brightness", *(w for f, p in files.items() for w in (f"--{f}", p)))
    assert "| fake | 1 |" in files["markdown"].read_text(encoding="utf-8").replace("**", "")
    assert r"\begin{tabular}{lrlrr}" in files["latex"].read_text(encoding="utf-8")


def test_rows_are_filtered_and_merged(tiny: Path) -> None:
    other, path = tiny.parent / "other", tiny.parent / "a.csv"
    run(tiny, "--eps", "1,10")
    run(other, method="alone")
    call("leaderboard", tiny, other, "--csv", path)
    assert sorted(pd.read_csv(path)["method"]) == ["alone", "fake", "fake"]
    call("leaderboard", tiny, other, "--csv", path, "--eps", "1", "--where", "track=images")
    assert pd.read_csv(path)[["method", "epsilon"]].values.tolist() == [["fake", 1.0]]
    assert "write COLUMN=VALUE" in call("leaderboard", tiny, "--where", "track").stderr

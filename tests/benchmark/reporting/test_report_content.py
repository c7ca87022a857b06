"""What the report says of finished trials, and what it must not show."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

import dpbench
from dpbench.benchmark.reporting.report_content import report_content
from dpbench.core.files import read_json, write_json
from dpbench.results.leaderboard_rows import collect
from dpbench.results.trial_folder import LEDGER


def run(out: Path, dataset: str = "tiny", methods: str = "fake", **options: Any) -> None:
    fixed = {"public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"], "epsilons": [1.0]}
    dpbench.run(methods.split(","), dataset, out=out, device="cpu", **(fixed | options))


def content(out: Path) -> dict[str, Any]:
    return report_content(collect(out))


def lines_of(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {line["reference"] or f"{line['epsilon']:g}": line for line in table["lines"]}


def test_rows_have_scores_ranks_ledgers_commands_and_pictures(tiny: Path) -> None:
    run(tiny, epsilons=[1.0, 10.0], seeds=2, settings={"spread": 7.5}, references=["real", "public", "nonprivate"])
    made = content(tiny)
    (table,) = made["tables"]
    lines = lines_of(table)
    assert list(lines) == ["real", "nonprivate", "1", "10", "public"]
    own = lines["10"]
    both = collect(tiny).query("epsilon == 10")["brightness"]
    assert own["scores"]["brightness"][0] == pytest.approx(both.mean())
    assert (own["seeds"], own["interval"], own["ranks"]["brightness"]) == (2, "seeds", 1)
    words = shlex.split(own["command"])
    assert words[words.index("--method") + 1] == "fake[spread=7.5]"
    assert words[words.index("--seeds") + 1] == "2"
    assert [m["name"] for m in own["ledger"]["mechanisms"]] == ["mean"]
    assert [m["share"] for m in own["ledger"]["mechanisms"]] == [1]
    assert own["settings"]["spread"] == "7.5"
    assert own["facts"]["delta"] == "1e-06"
    assert not any("{" in value for value in own["protocol"].values())
    assert lines["public"]["ledger"] is None
    assert lines["public"]["unranked"] == "it is a reference"
    assert lines["public"]["ranks"]["brightness"] is None
    assert table["conditions"] == ["dark", "bright"]
    assert table["real"]["source"] != own["picture"]["source"]
    assert table["record"] == ["privacy record of tiny: 4 private runs so far, Σε = 22"]
    assert made["columns"]["brightness"]["metric"] == "brightness"


def test_undeclared_data_shows_no_real_image_and_nothing_unprotected(tiny: Path) -> None:
    run(tiny, "tiny:secret", references=["real", "nonprivate"])
    (table,) = content(tiny)["tables"]
    lines = lines_of(table)
    assert table["real"] is None
    assert "not declared public" in table["missing"]
    assert lines["nonprivate"]["picture"] is None
    assert "no guarantee covers" in lines["nonprivate"]["unpictured"]
    assert lines["1"]["picture"] is not None


def test_real_images_are_those_that_were_scored_against(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny, references=["real"])
    monkeypatch.setattr("fakes.TinyImages.fingerprint", property(lambda self: "others"))
    (table,) = content(tiny)["tables"]
    assert table["real"] is None
    assert "not those that the rows were scored against" in table["missing"]


def test_damaged_ledgers_and_samples_are_said(tiny: Path) -> None:
    run(tiny, references=[])
    (folder,) = tiny.glob("tiny/fake/*")
    (folder / LEDGER).write_text("{", encoding="utf-8")
    (folder / "samples/00000.npy").write_bytes(b"x")
    (table,) = content(tiny)["tables"]
    (line,) = table["lines"]
    assert "ledger.json" in line["ledger"]["damaged"]
    assert line["picture"] is None
    assert "samples" in line["unpictured"]


def test_ledger_with_wrong_values_is_said(tiny: Path) -> None:
    run(tiny, references=[])
    (path,) = tiny.rglob(LEDGER)
    ledger = read_json(path)
    ledger["mechanisms"][0]["noise_multiplier"] = -1
    write_json(path, ledger)
    ((line,),) = (table["lines"] for table in content(tiny)["tables"])
    assert "ledger.json is damaged (mechanisms.0.noise_multiplier" in line["ledger"]["damaged"]


def test_rows_of_other_numbers_of_images_have_a_table_of_their_own(tiny: Path) -> None:
    run(tiny, references=[])
    run(tiny, references=[], samples=20)
    headings = {table["heading"] for table in content(tiny)["tables"]}
    assert headings == {f"tiny, 16×16 · {samples} samples against 40 real images" for samples in (20, 30)}


def test_nothing_finished_is_no_table(tiny: Path) -> None:
    tiny.mkdir()
    assert content(tiny)["tables"] == []

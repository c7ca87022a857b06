"""Model cards: what each kind of trial claims, what is left out, and cards that somebody edited."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import dpbench
from dpbench.cli import app
from dpbench.results.trial_folder import TrialFolder


def run(out: Path, **options: Any) -> dict[str, TrialFolder]:
    """Runs trials; reference -> the folder of one of them."""
    asked: dict[str, Any] = {"methods": "fake", "dataset": "tiny", "epsilons": [2.0], "references": ()}
    asked |= {"public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"], "device": "cpu"}
    rows = dpbench.run(**(asked | options), out=out)
    return {
        row.reference: next(f for f in TrialFolder.finished(out) if f.path.name == row.key) for row in rows.itertuples()
    }


def card(folder: TrialFolder) -> str:
    return folder.card.read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_card_says_what_was_spent_and_never_less(tiny: Path) -> None:
    folder = run(tiny)[""]
    text, record = card(folder), folder.read()
    assert record is not None
    assert record.epsilon_spent is not None
    front = yaml.safe_load(text.split("---")[1])
    assert (front["license"], front["datasets"], front["library_name"]) == ("other", ["tiny"], "dpbench")
    guarantee = section(text, "Privacy guarantee")
    (stated,) = re.findall(r"\(([\d.]+), ([\d.e-]+)\)-differentially private", guarantee)
    assert record.epsilon_spent <= float(stated[0]) <= record.epsilon_spent * 1.001
    assert float(stated[1]) == 1e-6
    assert "200 training records of `tiny`" in guarantee
    assert "one record replaced by nothing" in guarantee
    assert "privacy loss distributions (PLD)" in guarantee
    assert re.search(r"\| mean \| NoisySum \| 1 \| 1 \| 16 \| [\d.]+ \|", guarantee)
    assert "nobody (2020)" in section(text, "Method")
    assert "public images: tiny-public" in section(text, "Method")
    assert "1 private run on them, Σε = 2." in section(text, "What the guarantee does not cover")
    assert re.search(r"\| brightness \| [\d.]+ \| lower \| difference of mean brightness \|", section(text, "Scores"))


def test_the_command_in_it_finds_the_trial(tiny: Path) -> None:
    text = card(run(tiny, settings={"spread": 7.5}, epsilons=[3.0])[""])
    (line,) = re.findall(r"^dpbench run .*", text, re.MULTILINE)
    words = [*shlex.split(line)[1:], "--out", str(tiny), "--device", "cpu"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert "finished already" in result.stderr


@pytest.mark.parametrize(
    ("reference", "options", "said"),
    [
        ("public", {"references": ("public",), "epsilons": ()}, "No private record was read"),
        ("nonprivate", {"epsilons": [math.inf]}, "**None.** It was trained without noise"),
        ("", {"settings": {"fail": "peek"}}, "**None.** Records were read outside the mechanisms: for a look."),
        ("", {"noise_seed": 1}, "**None.** Its noise came from a known seed"),
    ],
)
def test_no_guarantee_is_claimed_where_there_is_none(
    tiny: Path, reference: str, options: dict[str, Any], said: str
) -> None:
    guarantee = section(card(run(tiny, **options)[reference]), "Privacy guarantee")
    assert said in guarantee
    assert "differentially private" not in guarantee


def test_nothing_measured_on_records_that_are_not_public_is_in_it(tiny: Path) -> None:
    folders = run(tiny, dataset="tiny:secret", epsilons=[2.0, math.inf], metrics=["brightness", "familiar"])
    for folder in folders.values():
        text = card(folder)
        assert "brightness" not in section(text, "Scores")
        assert "datasets" not in yaml.safe_load(text.split("---")[1])
    assert "- Publication." in section(card(folders["nonprivate"]), "What it must not be used for")
    assert "- Publication." not in card(folders[""])


def test_a_card_is_kept_up_to_date_until_somebody_edits_it(tiny: Path) -> None:
    folder = run(tiny)[""]
    dpbench.evaluate_all(tiny, ["classy"], device="cpu")
    assert "| classy |" in card(folder)
    own = card(folder).replace("license: other", "license: mit")
    folder.card.write_text(own, encoding="utf-8")
    dpbench.evaluate_all(tiny, ["rare"], device="cpu")
    run(tiny, force=True)
    assert card(folder) == own


def test_the_card_of_a_model_that_is_gone_is_removed(tiny: Path) -> None:
    folder = run(tiny)[""]
    folder.clear()
    assert not folder.card.exists()


def test_images_that_dpbench_did_not_draw_have_no_card(tiny: Path) -> None:
    folder = run(tiny, references=("real",))[""]
    dpbench.evaluate(folder.path / "samples", "tiny", name="theirs", metrics=["brightness"], device="cpu", out=tiny)
    assert [path.parent.parent.name for path in tiny.rglob("README.md")] == ["fake"]


def test_a_card_that_cannot_be_made_fails_no_trial(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpbench.benchmark.reporting.cards.model_card", lambda *_: 1 / 0)
    with pytest.warns(UserWarning, match=r"README.md is not written: division by zero"):
        assert run(tiny)[""].is_finished

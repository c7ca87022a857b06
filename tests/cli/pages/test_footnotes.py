"""The notes under a table: short by default, nothing missing in full, each with the lines that it is about."""

from __future__ import annotations

from typing import Any

import pytest
from rows import frame, scores, trial

from dpbench.cli.pages.footnotes import Footnotes, full_notes, short_notes
from dpbench.core.errors import NotInstalled
from dpbench.models.pretrained import finding
from dpbench.results.over_seeds import aggregate

OWNERS = {name: name for name in ("accuracy", "fwd", "fid", "kid", "lpips", "gram")} | {"fd_coarse": "scales"}
COLUMNS = ["accuracy", "fwd"]
REAL = {"method": "real", "reference": "real", "epsilon": None, "noise": ""}


def missing_weights(name: str) -> str:
    with pytest.raises(NotInstalled) as error:
        finding.locate(name)
    return str(error.value)


def noted(missing: dict[str, str] | None = None, caveats: tuple[str, ...] = (), **protocol: Any) -> dict[str, Any]:
    found = scores(**protocol)
    return found | {"missing": missing or {}, "caveats": list(caveats)}


def short(*rows: tuple[Any, dict[str, Any]]) -> Footnotes:
    return short_notes(aggregate(frame(*rows)), COLUMNS, OWNERS)


def full(*rows: tuple[Any, dict[str, Any]]) -> Footnotes:
    return full_notes(aggregate(frame(*rows)))


def test_columns_without_weights_are_one_line() -> None:
    inception, lpips = missing_weights("inception"), missing_weights("lpips")
    several = noted({"fid": inception, "kid": inception, "lpips": lpips})
    rows = ((trial(), several), (trial(**REAL), several))
    assert "no weights: fid, kid, lpips (`dpbench weights list`)" in short(*rows).general
    alone = short((trial(), noted({"fid": inception})))
    assert "no weights: fid (`dpbench weights get inception`)" in alone.general
    many = short((trial(), noted(dict.fromkeys(sorted(OWNERS), inception))))
    assert "no weights: accuracy, fd_coarse, fid, fwd, gram, … (`dpbench weights get inception`)" in many.general
    texts = {f"fid, kid: {inception}", f"lpips: {lpips}"}
    assert texts < set(full(*rows).general)


def test_extractors_are_in_full_notes_alone() -> None:
    rows = (
        (trial(), noted()),
        (trial(epsilon=2.0), noted()),
        (trial(**REAL), noted(accuracy_protocol={"extractors": "judge of a part; haar"})),
    )
    assert len(short(*rows).general) == 1
    notes = full(*rows)
    assert notes.general[1:] == ["extractors: haar"]
    assert notes.numbered == [("¹", "extractors: haar; judge of a part")]
    assert notes.marks == ["", "", "¹"]


def test_a_text_stands_once_for_all_metrics_that_it_is_about() -> None:
    caveats = ("accuracy: few images: biased", "fwd: few images: biased", "a class is empty")
    notes = short((trial(), noted(caveats=caveats)))
    assert notes.general[1:] == ["accuracy, fwd: few images: biased", "a class is empty"]


def test_texts_on_columns_that_were_not_asked_for_are_in_full_notes_alone() -> None:
    row = (trial(), noted({"gram": "too small"}, ("scales: few images", "kid: odd")))
    assert short(row).general[1:] == []
    assert full(row).general[2:] == ["gram: too small", "scales: few images", "kid: odd"]


def test_texts_of_many_seeds_become_one() -> None:
    texts = {0: "fwd: 8 of 100 images", 1: "fwd: 12 of 100 images", 2: "fwd: 9 of 100 images"}
    rows = [(trial(seed=seed), noted(caveats=(text, "no image of class 3"))) for seed, text in texts.items()]
    assert short(*rows).general[1:] == ["fwd: 8–12 of 100 images", "no image of class 3"]
    assert set(texts.values()) < set(full(*rows).general)


def test_a_text_on_some_lines_has_their_number_and_is_never_torn() -> None:
    unverified = trial(accounting="unverified", unverified=["peeked; twice"], epsilon=2.0)
    notes = short((trial(), noted()), (unverified, noted()), (trial(epsilon=3.0), noted()))
    assert notes.numbered == [("¹", "accounting unverified: peeked; twice")]
    assert notes.marks == ["", "¹", ""]
    everywhere = noted({"accuracy": "the dataset has no classes; none"})
    assert short((trial(), everywhere), (trial(**REAL), noted())).general[1:] == [
        "accuracy: the dataset has no classes; none"
    ]
    real = short((trial(), noted()), (trial(**REAL), everywhere))
    assert real.numbered == [("¹", "accuracy: the dataset has no classes; none")]
    assert real.marks == ["", "¹"]


def test_texts_on_the_same_lines_share_a_number() -> None:
    rows = [(trial(epsilon=e), noted(caveats=texts)) for e, texts in enumerate((("a", "b"), ("a", "b", "c"), ()), 1)]
    notes = short(*rows)
    assert notes.numbered == [("¹", "a"), ("¹", "b"), ("²", "c")]
    assert notes.marks == ["¹", "¹,²", ""]


def test_an_empty_cell_without_a_reason_says_how_to_fill_it() -> None:
    unscored = noted()
    unscored["values"] = {"fwd": 2.0}
    notes = short((trial(), noted()), (trial(epsilon=2.0), unscored))
    assert notes.numbered == [("¹", "accuracy: not computed; `dpbench evaluate --all --metrics accuracy` does it")]
    assert notes.marks == ["", "¹"]


def test_intervals_are_over_seeds_where_there_are_several() -> None:
    one = short((trial(), noted())).general[0]
    two = short((trial(), noted()), (trial(seed=1), noted())).general[0]
    assert one == "±: 95% interval over images; more: `dpbench leaderboard --notes`"
    assert len(one) <= 80
    assert "over seeds (Student's t), of single rows over images" in two

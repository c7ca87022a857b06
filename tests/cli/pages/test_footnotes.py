"""The notes under a table: short by default, nothing missing in full."""

from __future__ import annotations

from typing import Any

import pytest
from rows import frame, scores, trial

from dpbench.cli.pages.footnotes import full_notes, short_notes
from dpbench.core.errors import NotInstalled
from dpbench.models.pretrained import finding
from dpbench.results.gathering import aggregate

NAMES = {"accuracy", "fwd", "fid", "kid", "lpips", "gram", "vgg", "scales"}


def missing_weights(name: str) -> str:
    with pytest.raises(NotInstalled) as error:
        finding.locate(name)
    return str(error.value)


def noted(missing: dict[str, str] | None = None, caveats: tuple[str, ...] = (), **protocol: Any) -> dict[str, Any]:
    found = scores(**protocol)
    return found | {"missing": missing or {}, "caveats": list(caveats)}


REAL = {"method": "real", "reference": "real", "epsilon": None, "noise": ""}


def short(*rows: tuple[Any, dict[str, Any]], labels: tuple[str, ...] = ("m", "real")) -> list[str]:
    return list(short_notes(aggregate(frame(*rows)), labels[: len(rows)], NAMES))[1:]


def full(*rows: tuple[Any, dict[str, Any]], labels: tuple[str, ...] = ("m", "real")) -> str:
    return "\n".join(full_notes(aggregate(frame(*rows)), labels[: len(rows)]))


def test_columns_without_weights_are_one_line() -> None:
    inception, lpips = missing_weights("inception"), missing_weights("lpips")
    several = noted({"fid": inception, "kid": inception, "lpips": lpips})
    rows = ((trial(), several), (trial(**REAL), several))
    assert "no weights: fid, kid, lpips (`dpbench weights list`)" in short(*rows)
    assert "no weights: fid (`dpbench weights get inception`)" in short((trial(), noted({"fid": inception})))
    many = noted(dict.fromkeys(sorted(NAMES), inception))
    assert "no weights: accuracy, fid, fwd, gram, kid, … (`dpbench weights get inception`)" in short((trial(), many))
    for text in (
        "fid, kid: weights 'inception' are not installed, run `dpbench weights get inception`",
        "lpips: weigh",
    ):
        assert text in full(*rows)


def test_sample_counts_are_one_line_without_extractors() -> None:
    rows = ((trial(), noted()), (trial(**REAL), noted(n_samples=20, n_reference=20)))
    assert short(*rows) == ["100 samples against 50 real images; real: 20 samples against 20 real images"]
    assert "m: 100 samples against 50 real images (haar)" in full(*rows)


def test_a_text_stands_once_for_all_metrics_that_it_is_about() -> None:
    caveats = ("fwd: few images: biased", "scales: few images: biased", "a class is empty")
    assert short((trial(), noted(caveats=caveats)))[1:] == ["fwd, scales: few images: biased", "a class is empty"]


def test_a_text_on_some_lines_stands_after_their_names() -> None:
    unverified = trial(accounting="unverified", unverified=["peeked; twice"], epsilon=2.0)
    notes = short((trial(), noted()), (unverified, noted()), labels=("m", "m (UNVERIFIED)"))
    assert notes[1:] == ["m (UNVERIFIED): accounting unverified: peeked, twice"]
    everywhere = noted({"accuracy": "the dataset has no classes"})
    assert short((trial(), everywhere), (trial(**REAL), noted()))[1:] == ["accuracy: the dataset has no classes"]
    assert short((trial(), noted()), (trial(**REAL), everywhere))[1:] == ["real: accuracy: the dataset has no classes"]


def test_intervals_are_over_seeds_where_there_are_several() -> None:
    one, *_ = short_notes(aggregate(frame((trial(), noted()))), ["m"], NAMES)
    two, *_ = short_notes(aggregate(frame((trial(), noted()), (trial(seed=1), noted()))), ["m"], NAMES)
    assert one == "±: 95% interval over images (bootstrap); more: `dpbench leaderboard --notes`"
    assert len(one) <= 80
    assert "over seeds (Student's t), of single rows over images (bootstrap)" in two

"""`dpbench doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import call

from dpbench.benchmark.doctor import hardware


def test_everything_is_shown_with_what_to_do(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "ENOUGH", 0)
    result = call("doctor", "--out", tiny, "--dataset", "tiny")
    assert result.exit_code == 0
    for part in (
        "torch ",
        "runs use",
        "memory ",
        "folders",
        str(tiny),
        "mnist ",
        "tiny, opened",
        "weights get inception",
    ):
        assert part in result.stdout
    assert result.stdout.rstrip().endswith("no problems")


def test_a_problem_gives_exit_code_1(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "ENOUGH", 0)
    result = call("doctor", "--out", tiny, "--dataset", "mnist", "--json")
    assert result.exit_code == 1
    (problem,) = [check for check in json.loads(result.stdout) if check["state"] == "problem"]
    assert (problem["topic"], problem["name"]) == ("datasets", "mnist, opened")
    assert "is missing" in problem["advice"]
    assert not tiny.exists()
    assert "1 problem\n" in call("doctor", "--out", tiny, "--dataset", "mnist").stdout

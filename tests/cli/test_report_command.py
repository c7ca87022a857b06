"""`dpbench report`, and the command that makes each row again."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from calling import call, run

from dpbench import RunRequest
from dpbench.benchmark.reporting.row_command import row_command
from dpbench.results.trial_folder import TrialFolder


def data_of(page: Path) -> dict[str, Any]:
    (data,) = re.findall(r'<script id="data"[^>]*>(.*?)</script>', page.read_text(encoding="utf-8"))
    return json.loads(data)


def test_report_is_one_page_about_several_folders(tiny: Path) -> None:
    other = tiny.parent / "other"
    run(tiny)
    run(other, method="alone")
    page = tiny.parent / "report.html"
    result = call("report", tiny, other, "--out", page)
    assert result.output == f"2 trials: {page}\n"
    (table,) = data_of(page)["tables"]
    assert [line["title"] for line in table["lines"]] == ["fake", "alone"]
    call("report", tiny, other, "--out", page, "--method", "fake")
    (table,) = data_of(page)["tables"]
    assert [line["title"] for line in table["lines"]] == ["fake"]


def test_report_says_what_is_missing(tiny: Path) -> None:
    result = call("report", tiny)
    assert result.exit_code == 2
    assert "there are no results in" in result.stderr
    tiny.mkdir()
    result = call("report", tiny)
    assert result.exit_code == 2
    assert "there are no finished trials to report" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--eps", "1,3", "--seeds", "2", "--set", "fake:spread=7.5", "--set", "levels=2"),
        ("--eps", "2", "--preset", "loud", "--references", "real,public,nonprivate"),
    ],
)
def test_commands_make_the_same_rows_again(tiny: Path, arguments: tuple[str, ...]) -> None:
    run(tiny, *arguments)
    records = [folder.read() for folder in TrialFolder.finished(tiny)]
    again = tiny.parent / "again"
    for record in records:
        assert record is not None
        words = shlex.split(row_command(record, 1 + (record.seed or 0)))
        assert words[:2] == ["dpbench", "run"]
        assert call(*words[1:], "--out", again, "--device", "cpu").exit_code == 0
    assert {record.key for record in records if record} <= {folder.path.name for folder in TrialFolder.finished(again)}
    columns = ["method", "variant", "reference", "epsilon", "seed", "config"]
    first, second = (pd.read_csv(out / "leaderboard.csv")[columns] for out in (tiny, again))
    pd.testing.assert_frame_equal(first.merge(second, how="inner"), first)


def test_images_from_elsewhere_are_evaluated_again(tiny: Path) -> None:
    run(tiny)
    (folder,) = TrialFolder.finished(tiny)
    call("evaluate", folder.path, "--dataset", "tiny", "--name", "theirs", "--eps", "3", "--out", tiny, "--metrics",
         "brightness", "--references", "none")  # fmt: skip
    (record,) = [found for one in TrialFolder.finished(tiny) if (found := one.read()) and found.method == "theirs"]
    words = shlex.split(row_command(record, 1))
    assert words[:7] == ["dpbench", "evaluate", "IMAGES", "--name", "theirs", "--eps", "3.0"]
    assert words[words.index("--dataset") + 1] == "tiny"
    record.request["dataset"] = RunRequest.dataset  # the default of `dpbench run` alone
    words = shlex.split(row_command(record, 1))
    assert words[words.index("--dataset") + 1] == RunRequest.dataset


def test_a_request_of_another_version_has_no_command(tiny: Path) -> None:
    run(tiny)
    (folder,) = TrialFolder.finished(tiny)
    record = folder.read()
    assert record is not None
    record.request["epsilons"] = ["none at all"]
    assert row_command(record, 1) == ""

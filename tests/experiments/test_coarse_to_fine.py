"""Images from captions: equal compute, controls, and a small run with its table, rows, sheet and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import typer
from fakes import FakeMean
from PIL import Image

from dpbench import METHODS
from dpbench import METRICS as REGISTRY
from dpbench.cli import app
from dpbench.core.errors import DpbenchError
from dpbench.core.specs import DatasetSpec
from experiments import _script, coarse_to_fine
from experiments._candidates import Candidate
from experiments._compute import gradients_of, with_equal_compute
from experiments._jobs import Job
from experiments._prompt_sheet import Column, common_prompts
from experiments.coarse_to_fine import METRICS, SHOWN, as_control, run_framed, samples_of, with_controls

SPEC = DatasetSpec("scenes", 3, 64, 50_000, 10_000, None, True, 384)


@pytest.fixture
def here(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands run in this process; `plain` takes no captions."""

    class Plain(FakeMean):
        """Takes classes alone."""

        conditions = frozenset({"classes"})

    def in_this_process(jobs: Sequence[Job], parallel: int, say: object) -> list[str]:
        for job in jobs:
            app(job.command[3:], standalone_mode=False)
        return []

    METHODS.register("plain")(Plain)
    monkeypatch.setattr(_script, "run_jobs", in_this_process)
    monkeypatch.setattr(coarse_to_fine, "REAL", "fail=peek")
    return tiny


def run(out: Path, **options: object) -> None:
    fixed = {
        "dataset": "tiny:captions", "public": "tiny-public", "methods": "fake,plain,fake[fail=peek]", "controls": "",
        "eps": "1,10", "seeds": 1, "references": "real,public,nonprivate", "preset": "small", "samples": 20,
        "prompts": None, "metrics": "brightness", "device": "cpu", "data": None, "out": out,
        "report": out.parent / "report", "jobs": 1, "table_only": False,
    }  # fmt: skip
    coarse_to_fine.main(**(fixed | options))


def test_one_command_makes_table_rows_and_sheet(here, monkeypatch, capsys):
    monkeypatch.setattr(coarse_to_fine, "SHOWN", ("fid", "brightness"))
    run(here)
    printed = capsys.readouterr()
    assert "plain is left out: Plain is for datasets with classes, but tiny:captions has captions" in printed.err
    for words in ("public part", "ε = 1", "ε = 10", "no noise", "real", "brightness"):
        assert words in printed.out
    assert "fid" not in printed.out
    (written,) = (here.parent / "report").glob("*.csv")
    rows = pd.read_csv(written, keep_default_na=False)
    assert rows["reference"].tolist() == ["public", "", "", "nonprivate", "", "real"]
    assert rows[rows["variant"] == "fail=peek"]["accounting"].tolist() == ["unverified"]
    (sheet,) = (here.parent / "report").glob("*.png")
    with Image.open(sheet) as image:
        assert image.width > 5 * 64


def test_what_is_finished_is_reported_without_running(here, monkeypatch):
    run(here, methods="fake", eps="1", references="none")
    monkeypatch.setattr(coarse_to_fine, "run_framed", lambda *_: pytest.fail("ran again"))
    run(here, methods="fake", eps="1", references="none", table_only=True)


def test_the_sheet_shows_the_same_prompts(here):
    run(here, methods="fake", eps="1", references="none")
    rows = pd.read_csv(next((here.parent / "report").glob("*.csv")), keep_default_na=False)
    column = Column("fake", "ε = 1", samples_of(rows["key"][0], here))
    assert common_prompts([column, column]) == ["a dark image", "a bright image"]
    other = replace_texts(column, ("a bright image",) * 20)
    assert common_prompts([column, other]) == ["a bright image"]
    with pytest.raises(DpbenchError, match="different prompts"):
        common_prompts([column, replace_texts(column, ("a cat",) * 20)])


def replace_texts(column: Column, texts: tuple[str, ...]) -> Column:
    """The column as if its samples had other prompts."""
    samples = object.__new__(type(column.samples))
    vars(samples).update(vars(column.samples) | {"conditions": replace(column.samples.conditions, condition=texts)})
    return column._replace(samples=samples)


ERRORS = {
    "no captions": ({"dataset": "tiny"}, "tiny has no captions"),
    "no public source": ({"public": ""}, "name a public source of images for tiny:captions"),
    "an unknown method": ({"methods": "fake,fkae"}, "unknown method 'fkae'"),
    "no method that fits": ({"methods": "plain"}, "none of the methods suits tiny:captions"),
    "nothing finished": ({"table_only": True}, "no finished trials of this experiment"),
}


@pytest.mark.parametrize(("options", "message"), ERRORS.values(), ids=ERRORS)
def test_wrong_requests_are_one_line(here, capsys, options, message):
    with pytest.raises(typer.Exit):
        run(here, **options)
    assert message in capsys.readouterr().err


def test_every_candidate_computes_as_many_private_gradients_as_the_first():
    names = ["wavelet", "dp-ar", "wavelet[tokens=all,batch=100]", "wavelet[coarse=real]"]
    found = with_equal_compute(names, "scenes", SPEC, "small")
    wanted = gradients_of(Candidate("wavelet", "wavelet"), "scenes", SPEC, "small")
    assert wanted > 0
    for candidate in found[:3]:
        assert gradients_of(candidate, "scenes", SPEC, "small") == pytest.approx(wanted, rel=0.01)
    assert found[2].settings["steps"] != found[0].settings["steps"]
    assert found[3].settings == {}
    assert [as_control(candidate).unverified for candidate in found] == [False, False, False, True]


def test_controls_are_real_tokens_all_tokens_and_every_installed_stage(monkeypatch, tmp_path):
    monkeypatch.setenv("DPBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path))
    found = with_controls(["wavelet", "dp-ar"], [])
    assert found[:4] == ["wavelet", "dp-ar", "wavelet[coarse=real]", "wavelet[tokens=all]"]
    assert {"wavelet[refiner.name=bicubic]", "wavelet[refiner.name=residual]"} <= {*found}
    assert not any("regression" in name or "diffusers" in name for name in found)  # the own one, and without weights
    assert with_controls(["wavelet"], ["tokens=all"]) == ["wavelet", "wavelet[tokens=all]"]
    assert with_controls(["wavelet"], ["none"]) == ["wavelet"]
    assert with_controls(["dp-ar"], []) == ["dp-ar"]


def test_real_tokens_are_run_at_one_budget(monkeypatch):
    ran = []
    monkeypatch.setattr(_script, "run_all", lambda *asked: ran.append(asked[:2]) or [])
    task = coarse_to_fine.Task("d", "d", "p", ())
    entries = [coarse_to_fine.Entry(task, Candidate(n, n, unverified=n == "b"), "d", n, "") for n in "ab"]
    run_framed(entries, coarse_to_fine.Request((1.0, 10.0), 1, 9, Path(), references=("real", "public")), 1)
    assert [([e.method for e in some], asked.epsilons, asked.references) for some, asked in ran] == [
        (["a"], (1.0, 10.0), ("public",)),
        (["b"], (1.0,), ()),
        (["a"], (1.0, 10.0), ("real", "public")),
    ]


def test_the_columns_of_the_table_are_those_of_the_metrics():
    assert {*SHOWN} <= {column.name for name in METRICS.split(",") for column in REGISTRY.get(name).columns}

"""What images of a dataset with captions are sampled under, and what a row says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import events
import fakes
import pytest

import dpbench
from dpbench import DATASETS, METHODS, DpbenchError
from dpbench.benchmark.prompts import LONGEST, read_prompts
from dpbench.benchmark.trials.stored_model import load
from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.results.samples import read_conditions
from dpbench.results.trial_search import find_trial


def run(out: Path, **options: Any) -> Any:
    asked = {
        "methods": "fake",
        "dataset": "tiny:captions",
        "public": "tiny-public",
        "samples": 30,
        "metrics": "brightness",
    }
    return dpbench.run(**(asked | {"references": (), "device": "cpu"} | options), out=out)


def texts_of(out: Path, rows: Any) -> tuple[str, ...] | None:
    return read_conditions(find_trial(rows["key"][0], out).path / "samples").texts


def test_a_public_benchmark_samples_under_its_test_captions(tiny: Path) -> None:
    rows = run(tiny)
    assert rows["prompts"].tolist() == ["test captions"]
    assert texts_of(tiny, rows) == ("a dark image", "a bright image") * 15


def test_a_file_of_prompts_comes_first_and_test_stays_closed_until_sampling_is_done(tiny: Path) -> None:
    file = tiny.parent / "prompts.txt"
    file.write_text("\ufeffa grey\timage\n\n  ein Bild\r\n", encoding="utf-8")
    rows = run(tiny, prompts=file)
    assert texts_of(tiny, rows) == ("a grey image", "ein Bild") * 15
    assert rows["prompts"][0].startswith("prompts.txt@")
    assert events.EVENTS.index("test") > events.EVENTS.index("train")
    file.write_text("another image\n", encoding="utf-8")
    assert texts_of(tiny, run(tiny, prompts=file)) == ("another image",) * 30


class WithPrompts(fakes.Tiny):
    """A dataset with public prompts of its own."""

    prompts = ("night", "day")


class Private(fakes.Tiny):
    """Captions that are not public."""

    @property
    def spec(self) -> DatasetSpec:
        return DatasetSpec("private", 1, 16, 200, 40, None, False, 20)


def test_a_dataset_may_bring_its_own_prompts(tiny: Path) -> None:
    DATASETS.register("prompted")(WithPrompts)
    rows = run(tiny, dataset="prompted:captions")
    assert rows["prompts"].tolist() == ["the dataset's"]
    assert texts_of(tiny, rows) == ("night", "day") * 15


def test_private_captions_are_never_prompts(tiny: Path) -> None:
    DATASETS.register("private")(Private)
    with pytest.raises(DataError, match="captions of 'private' are private, so sampling needs public prompts: give"):
        run(tiny, dataset="private")
    assert not tiny.exists()


def test_prompts_need_captions(tiny: Path) -> None:
    file = tiny.parent / "prompts.txt"
    file.write_text("a star", encoding="utf-8")
    with pytest.raises(DpbenchError, match="--prompts is for datasets with captions, and tiny has none"):
        run(tiny, dataset="tiny", prompts=file)
    assert not tiny.exists()


def test_a_method_that_takes_no_captions_is_refused_before_anything_runs(tiny: Path) -> None:
    class Plain(fakes.FakeMean):
        """Takes classes alone."""

        conditions = frozenset({"classes"})

    METHODS.register("plain")(Plain)
    with pytest.raises(DpbenchError, match="Plain is for datasets with classes, but tiny:captions has captions"):
        run(tiny, methods="plain")
    with pytest.raises(DpbenchError, match="but tiny:plain has neither classes nor captions"):
        run(tiny, methods="plain", dataset="tiny:plain")
    with pytest.raises(DpbenchError, match="DPMERF is for datasets with classes or neither classes nor captions"):
        run(tiny, methods="dp-merf")
    assert not tiny.exists()


BAD = {
    "empty": (b"", "is empty; write one prompt per line"),
    "blank": (b" \n\t\n", "is empty; write one prompt per line"),
    "too long": (b"a star\n" + b"x" * 10_000, r"line 2 of .* has 10,000 characters; a prompt has at most 1,000"),
    "not text": (b"a star\xff\xfe\n", r"is not UTF-8 text \(byte 6\)"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_a_wrong_file_of_prompts_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        read_prompts(file)
    assert "\n" not in str(raised.value)


def test_a_missing_file_of_prompts_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_prompts(tmp_path / "prompts.txt")


def test_prompts_may_be_of_any_script_and_long(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    lines = ("猫が寝ている", "звезда над кольцом", "x" * LONGEST)
    file.write_text("\n".join(lines), encoding="utf-8")
    assert read_prompts(file).texts == lines


def test_a_stored_model_draws_under_the_prompts_of_its_trial_or_others(tiny: Path) -> None:
    rows = run(tiny)
    model = load(rows["key"][0], tiny, device="cpu")
    assert model.prompts == ("a dark image", "a bright image") * 15
    assert len(model.sample(4)) == 4
    drawn = model.write(dpbench.Conditions(2, ("a star", "a ring")), tiny.parent / "drawn")
    assert drawn.conditions.texts == ("a star", "a ring")
    plain = load(run(tiny, dataset="tiny")["key"][0], tiny, device="cpu")
    with pytest.raises(DpbenchError, match="tiny has no captions, so nothing can be drawn with prompts"):
        plain.sample(dpbench.Conditions(1, ("a star",)))

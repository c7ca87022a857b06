"""A trial with an unreadable trial.json is not rerun automatically: that would be another release of private data."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import events
import fakes
import pandas as pd
import pytest
import torch
from torch import Tensor

import dpbench
from dpbench.benchmark.failures import TrialsFailed
from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json
from dpbench.results.leaderboard_rows import collect, write_csv
from dpbench.results.over_seeds import aggregate

REQUEST: dict[str, Any] = {
    "methods": "alone", "dataset": "tiny", "epsilons": [1.0], "delta": 1e-6, "samples": 10, "metrics": ["brightness"],
    "references": (), "device": "cpu",
}  # fmt: skip


def run(out: Path, **options: Any) -> pd.DataFrame:
    return dpbench.run(**REQUEST, out=out, **options)


def without(name: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        content = json.loads(path.read_text(encoding="utf-8"))
        content.pop(name, None)
        path.write_text(json.dumps(content), encoding="utf-8")

    return change


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def as_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "a flipped bit": lambda path: path.write_bytes(path.read_bytes().replace(b"{", b"[", 1)),
    "no utf-8": lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
    "text": lambda path: path.write_text("it was here"),
    "a list": lambda path: path.write_text("[]"),
    "null": lambda path: path.write_text("null"),
    "a number": lambda path: path.write_text("3"),
    "empty object": lambda path: path.write_text("{}"),
    "no key": without("key"),
    "another key": lambda path: path.write_text(path.read_text().replace('"key": "', '"key": "0')),
    "two documents": lambda path: path.write_text(path.read_text() * 2),
    "a folder": as_folder,
    "a broken link": as_broken_link,
    "a link to itself": as_loop,
}

OTHER_DAMAGES: dict[str, Callable[[Path], object]] = {
    "the last bit flipped": flipped,
    "not a number": lambda path: path.write_text("NaN"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "numbers of other types": lambda path: path.write_text(re.sub(r": \d+", ": [1]", path.read_text(errors="replace"))),
    "large numbers": lambda path: path.write_text(re.sub(r": \d+", ": 9" * 400, path.read_text(errors="replace"))),
    "numbers beyond 64 bits": lambda path: path.write_text(
        re.sub(r": \d+\b(?!\.)", ": 9" + "0" * 20, path.read_text(errors="replace"))
    ),
    "texts of other types": lambda path: path.write_text(
        re.sub(r': "[^"]*"', ": {}", path.read_text(errors="replace"))
    ),
    "a lone surrogate": lambda path: path.write_text(
        re.sub(r': "[^"]*"', r': "\\ud800"', path.read_text(errors="replace"))
    ),
}

BINARY = ("empty", "zeros", "cut", "cut in the middle", "text", "a folder", "a link to itself", "the last bit flipped")
"""Damages of files that hold no text."""

FILES = [
    "trial.json", "scores.json", "ledger.json", "model.safetensors", "checksums.json", "samples/00000.npy",
    "samples/conditions.json",
]  # fmt: skip


@pytest.mark.parametrize("name", ["trial.json", "unscored.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_error_names_the_file_without_training(tiny: Path, damage: str, name: str) -> None:
    run(tiny)
    [path] = tiny.rglob("trial.json")
    path = path.rename(path.with_name(name))
    DAMAGES[damage](path)
    with pytest.raises(
        DpbenchError, match=rf"{name}.*move the trial's folder away: the trial then runs again"
    ) as error:
        run(tiny)
    assert "delete" not in str(error.value)
    assert events.EVENTS.count("fit") == 1


def test_damaged_trial_fails_alone(tiny: Path) -> None:
    run(tiny, seeds=2)
    first, _ = sorted(tiny.rglob("trial.json"), key=lambda path: int(read_json(path)["seed"]))
    first.write_text("{", encoding="utf-8")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(TrialsFailed, match="1 of 3 trials failed") as error,
    ):
        run(tiny, seeds=3)
    (failure,) = error.value.failures
    assert str(first) in failure.reason
    assert "move the trial's folder away" in failure.reason
    assert error.value.finished.rows["seed"].tolist() == [1, 2]
    assert events.EVENTS.count("fit") == 3


def test_force_trains_again(tiny: Path) -> None:
    run(tiny)
    [path] = tiny.rglob("trial.json")
    path.write_text("{")
    assert run(tiny, force=True)["accounting"].tolist() == ["verified"]
    assert events.EVENTS.count("fit") == 2


def test_damaged_ledger_raises_an_error(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpbench.benchmark.trials import stages

    with monkeypatch.context() as patch:
        patch.setattr(stages, "draw_samples", lambda *_: 1 / 0)
        with pytest.raises(DpbenchError, match="ZeroDivisionError"):
            run(tiny)
    [path] = tiny.rglob("ledger.json")
    path.write_text("{}")
    with pytest.raises(DpbenchError, match=r"ledger\.json is damaged.*--force"):
        run(tiny)


def damaged_copies(out: Path, damages: dict[str, Callable[[Path], object]], name: str) -> Iterator[tuple[str, Path]]:
    """(damage, folder of results with two trials of which the first has one damaged file), one after the other."""
    run(out, seeds=2)
    for damage, change in damages.items():
        copy = out.parent / "damaged"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(out, copy)
        first = next(path for path in copy.rglob("trial.json") if '"seed": 0' in path.read_text())
        change(first.parent / name)
        yield damage, copy


@pytest.mark.parametrize("name", FILES)
def test_other_trials_stay_readable(tiny: Path, name: str) -> None:
    damages = DAMAGES | OTHER_DAMAGES
    kinds = damages if name.endswith(".json") else {damage: damages[damage] for damage in BINARY}
    for damage, out in damaged_copies(tiny, kinds, name):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rows = collect(out)
            write_csv(aggregate(rows), out / "a.csv")
        assert 1 in rows["seed"].tolist(), damage
        assert len(rows) + len(caught) == 2, damage
        for warning in caught:
            assert re.search(
                rf"left out [^\n]*{name}[^\n]*(move the trial's folder away|evaluate --all)[^\n]*$",
                str(warning.message),
            ), damage


@pytest.mark.parametrize("name", FILES)
def test_damaged_trial_is_scored_or_the_error_says_what_to_do(tiny: Path, name: str) -> None:
    damages = {damage: (DAMAGES | OTHER_DAMAGES)[damage] for damage in ("empty", "the last bit flipped", "a folder")}
    for damage, out in damaged_copies(tiny, damages, name):
        events.EVENTS.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            message = ""
            try:
                rows = dpbench.run(**REQUEST | {"metrics": ["brightness", "rare"], "out": out})
            except DpbenchError as error:
                message = str(error)
        if message:
            assert re.search(rf"{name}[^\n]*(move (the trial's folder|it) away)[^\n]*$", message), damage
        else:
            assert name not in ("trial.json", "checksums.json"), damage
            assert rows["rare"].notna().all(), damage
        assert "fit" not in events.EVENTS, damage
    assert run(out, force=True)["accounting"].tolist() == ["verified"]


def unscored(out: Path) -> Path:
    """The folder of a trial that is sampled and not scored."""
    run(out)
    [path] = out.rglob("trial.json")
    path.rename(path.with_name("unscored.json"))
    (path.parent / "scores.json").unlink()
    return path.parent


@pytest.mark.parametrize("name", ["00000.npy", "conditions.json"])
@pytest.mark.parametrize("damage", ["the last bit flipped", "empty", "a folder"])
def test_damaged_samples_are_drawn_again_from_the_model(tiny: Path, name: str, damage: str) -> None:
    path = unscored(tiny) / "samples" / name
    before = path.read_bytes()
    (DAMAGES | OTHER_DAMAGES)[damage](path)
    assert run(tiny)["brightness"].notna().all()
    assert path.read_bytes() == before
    assert events.EVENTS.count("fit") == 1
    assert not list(tiny.rglob(".tmp-*"))


def test_samples_that_would_differ_are_not_replaced(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = unscored(tiny)
    flipped(folder / "samples/00000.npy")
    damaged = (folder / "samples/00000.npy").read_bytes()
    monkeypatch.setattr(
        fakes.FakeMean, "sample", lambda self, conditions, run: white(conditions.count, *self.spec.shape)
    )
    with pytest.raises(
        DpbenchError,
        match=r"00000\.npy is damaged.*move the trial's folder away.*drawn again from its model: .*differs",
    ):
        run(tiny)
    assert (folder / "samples/00000.npy").read_bytes() == damaged


def test_damaged_samples_and_model_say_what_to_do(tiny: Path) -> None:
    folder = unscored(tiny)
    flipped(folder / "samples/00000.npy")
    flipped(folder / "model.safetensors")
    with pytest.raises(
        DpbenchError, match=r"00000\.npy is damaged.*restore it, or move the trial's folder away.*model.*is damaged"
    ):
        run(tiny)
    assert events.EVENTS.count("fit") == 1


def white(*shape: int) -> Tensor:
    return torch.full(shape, 255, dtype=torch.uint8)

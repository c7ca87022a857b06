"""A trial with an unreadable trial.json is not rerun automatically: that would be another release of private data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import events
import pandas as pd
import pytest

import dpbench
from dpbench.core.errors import DpbenchError


def run(out: Path, **options: Any) -> pd.DataFrame:
    return dpbench.run(
        "alone", "tiny", [1.0], delta=1e-6, samples=10, metrics=["brightness"], references=(), device="cpu", out=out,
        **options,
    )  # fmt: skip


def without(name: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        content = json.loads(path.read_text())
        del content[name]
        path.write_text(json.dumps(content))

    return change


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


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
}


@pytest.mark.parametrize("name", ["trial.json", "unscored.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_error_names_the_file_without_training(tiny: Path, damage: str, name: str) -> None:
    run(tiny)
    [path] = tiny.rglob("trial.json")
    path = path.rename(path.with_name(name))
    DAMAGES[damage](path)
    with pytest.raises(DpbenchError, match=rf"{name}.*--force") as error:
        run(tiny)
    assert "delete" not in str(error.value)
    assert events.EVENTS.count("fit") == 1


def test_force_trains_again(tiny: Path) -> None:
    run(tiny)
    [path] = tiny.rglob("trial.json")
    path.write_text("{")
    assert run(tiny, force=True)["accounting"].tolist() == ["verified"]
    assert events.EVENTS.count("fit") == 2


def test_damaged_ledger_raises_an_error(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpbench.benchmark import stages

    with monkeypatch.context() as patch:
        patch.setattr(stages, "draw_samples", lambda *_: 1 / 0)
        with pytest.raises(DpbenchError, match="ZeroDivisionError"):
            run(tiny)
    [path] = tiny.rglob("ledger.json")
    path.write_text("{}")
    with pytest.raises(DpbenchError, match=r"ledger\.json is damaged.*--force"):
        run(tiny)

"""The privacy record: sums, look-up and damaged lines."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from dpbench.core.errors import DpbenchError
from dpbench.results.privacy_record import Record, append, holds, of_fingerprint


def entry(run: str, epsilon: float = 1.0, fingerprint: str = "f", key: str = "k") -> dict[str, object]:
    return {"run": run, "epsilon": epsilon, "fingerprint": fingerprint, "key": key}


def test_record_sums_runs_under_different_dataset_names(tmp_path: Path) -> None:
    append(tmp_path / "a.jsonl", entry("1", 1, "at 32 pixels", "x"))
    append(tmp_path / "a.jsonl", entry("2", 2.5, "at 64 pixels", "y"))
    append(tmp_path / "b.jsonl", entry("3", 4, "other images"))
    assert of_fingerprint(tmp_path, "at 32 pixels") == Record(2, 3.5, frozenset("xy"))
    assert of_fingerprint(tmp_path, "at 64 pixels") == Record(2, 3.5, frozenset("xy"))
    assert of_fingerprint(tmp_path, "never seen") == Record(0, 0)
    assert of_fingerprint(tmp_path / "not there", "other images") == Record(0, 0)


def test_files_of_all_user_keys_are_counted(tmp_path: Path) -> None:
    append(tmp_path / "before.jsonl", entry("1"))
    append(tmp_path / "after.jsonl", entry("2", key="l"))
    assert of_fingerprint(tmp_path, "f") == Record(2, 2, frozenset("kl"))


def test_run_is_recorded_until_its_line_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert not holds(path, "1")
    append(path, entry("1"))
    assert holds(path, "1")
    assert not holds(path, "2")
    path.write_text("")
    assert not holds(path, "1")


def test_run_that_is_recorded_twice_at_once_has_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with ThreadPoolExecutor() as others:
        with FileLock(path.with_suffix(".lock")):
            waiting = [others.submit(append, path, entry("1")) for _ in range(2)]
            time.sleep(0.2)
            assert not path.exists()
        for each in waiting:
            each.result(30)
    assert of_fingerprint(tmp_path, "f") == Record(1, 1, frozenset("k"))


@pytest.mark.parametrize("line", ["{", "[]", "1", '"epsilon"', '{"epsilon": "much"}', "{}", "null", '{"epsilon": NaN}'])
def test_damaged_line_counts_as_a_run_with_a_warning(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    append(path, entry("1", 3.5))
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.warns(UserWarning, match="line 2"):
        assert of_fingerprint(tmp_path, "f") == Record(2, 3.5, frozenset("k"))


def test_unwritable_record_raises_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DpbenchError, match="cannot write"):
        append(tmp_path / "file/a.jsonl", entry("1"))


def test_line_that_a_full_disk_cuts_off_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: usual(handle, data[:9]))
    with pytest.raises(DpbenchError, match=r"cannot write .*a\.jsonl: No space left on device"):
        append(tmp_path / "a.jsonl", entry("1"))


def test_cut_line_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, entry("1", 3.5))
    path.write_bytes(path.read_bytes()[:-5])
    append(path, entry("2", 1))
    assert holds(path, "2")
    with pytest.warns(UserWarning, match="line 1"):
        assert of_fingerprint(tmp_path, "f") == Record(2, 1, frozenset("k"))


def test_names_of_datasets_may_hold_anything(tmp_path: Path) -> None:
    append(tmp_path / "a.jsonl", entry("1") | {"dataset": "folder:caf\udce9\u2028\n"})
    assert holds(tmp_path / "a.jsonl", "1")
    assert of_fingerprint(tmp_path, "f").runs == 1


def test_unreadable_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(DpbenchError, match=r"cannot read .*a\.jsonl"):
        of_fingerprint(tmp_path, "f")

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path

import pytest

from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest, is_there, read_json, remove, write_atomic, write_json, write_text


def test_folders_are_created_and_text_is_utf8(tmp_path):
    path = tmp_path / "a" / "b" / "log.txt"
    write_text(path, "ε = 1\n")
    assert path.read_bytes() == "ε = 1\n".encode()


def test_file_is_replaced_atomically(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old and longer")
    seen = []

    def write(temporary):
        temporary.write_text("new")
        seen.append(path.read_text())
        assert temporary.parent == path.parent  # the same file system, as renaming needs
        assert temporary.suffix == path.suffix

    write_atomic(path, write)
    assert seen == ["old and longer"]
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("old", ["old", None])
def test_link_stays_and_its_file_is_written(tmp_path, old):
    (tmp_path / "elsewhere").mkdir()
    file, link = tmp_path / "elsewhere" / "file.txt", tmp_path / "link.txt"
    if old is not None:
        file.write_text(old)
    link.symlink_to(Path("elsewhere", "file.txt"))
    write_text(link, "new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert os.listdir(tmp_path / "elsewhere") == ["file.txt"]


def test_link_to_itself_is_replaced(tmp_path):
    path = tmp_path / "file.txt"
    path.symlink_to(path.name)
    write_text(path, "new")
    assert path.read_text() == "new"


def test_pipe_gets_the_whole_content(tmp_path):
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomic(pipe, lambda temporary: temporary.write_text("new"))
    assert os.read(reader, 9) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe.txt"]


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_failed_write_keeps_the_old_content(tmp_path, error):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def write(temporary):
        temporary.write_text("half of the n")
        raise error

    expected = DpbenchError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write_atomic(path, write)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_full_disk_error_names_the_file(tmp_path):
    def write(temporary):
        raise OSError(28, "No space left on device")

    with pytest.raises(DpbenchError, match=r"cannot write .*file\.txt: No space left on device"):
        write_atomic(tmp_path / "file.txt", write)


def test_unwritable_path_error_names_the_path(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DpbenchError, match=r"cannot write .*file/ledger\.json: its folder is a file"):
        write_json(tmp_path / "file" / "ledger.json", {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(DpbenchError, match=r"cannot write .*folder"):
        write_text(tmp_path / "folder", "text")
    assert (tmp_path / "file").read_text() == "in the way"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_files_have_default_permissions(tmp_path):
    (tmp_path / "usual").write_text("")
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_json_keeps_order_and_writes_infinities_as_text(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"b": math.inf, "a": [1.5, -math.inf, None, ("ε",)], "c": math.nan})
    assert path.read_text().index('"b"') < path.read_text().index('"a"')
    assert "ε" in path.read_text()
    assert read_json(path) == {"b": "inf", "a": [1.5, "-inf", None, ["ε"]], "c": "nan"}
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize("content", [None, b"", b'{"a": 1', b"\xff\xfe", b"NaN", b"[" * 10**5])
def test_unreadable_json_error_names_the_file(tmp_path, content):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DpbenchError, match=r"cannot read .*x\.json"):
        read_json(path)


def test_undecodable_bytes_of_a_file_name_are_written_escaped(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"dataset": "folder:caf\udce9"})
    assert read_json(path) == {"dataset": "folder:caf\udce9"}


def test_whatever_is_in_a_place_is_seen_and_removed(tmp_path):
    path = tmp_path / "x"
    for make in (
        lambda: path.write_text("a file"),
        lambda: path.symlink_to(tmp_path / "nowhere"),
        lambda: path.symlink_to(path.name),
        lambda: write_text(path / "a folder" / "b", ""),
    ):
        assert not is_there(path)
        make()
        assert is_there(path)
        remove(path)
    assert not is_there(path)
    remove(path)
    write_text(path, "a file")
    assert not is_there(path / "within")
    remove(path / "within")


def test_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(DpbenchError, match=r"cannot write .*x: a folder has this name; move it away"):
        write_text(tmp_path / "x", "")


def test_digest_does_not_depend_on_key_order():
    assert digest({"a": 1, "b": [2, 3.5]}) == digest({"b": [2, 3.5], "a": 1})
    assert digest({"a": [1, 2]}) == digest({"a": (1, 2)})
    different = [{"a": 1}, {"a": 2}, {"b": 1}, {"a": [1]}, {"a": "1"}, {"a": None}, {"a": math.inf}, {"a": -math.inf}]
    assert len({digest(value) for value in different}) == len(different)
    assert len(digest("x")) == 16
    assert digest("x", 40).startswith(digest("x"))


def test_digest_is_stable():
    assert digest({"method": ["wavelet", "1"], "budget": ["1.0", 1e-5]}) == "359b6f55b675bfc4"

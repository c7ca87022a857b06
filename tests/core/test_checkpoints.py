from __future__ import annotations

import os
import re
import resource
import stat
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from dpbench.core import checkpoints
from dpbench.core.checkpoints import has_checkpoints, remove_checkpoints
from dpbench.core.errors import PrivacyError, RunError
from dpbench.privacy import noise_key
from dpbench.privacy.noise_key import NoiseKey

Checkpoints = partial(checkpoints.Checkpoints, code="code")


def store(checkpoints: checkpoints.Checkpoints, name: str, value: object, key: object = None) -> None:
    checkpoints.state(name, key).save(value)


def found(checkpoints: checkpoints.Checkpoints, name: str, key: object = None) -> object:
    return checkpoints.state(name, key).load(lambda path: torch.load(path, weights_only=True))


def files(folder: Path) -> list[Path]:
    return list(folder.glob("*.pt"))


def test_next_attempt_loads_the_checkpoint(tmp_path):
    store(Checkpoints(tmp_path / "new"), "train: the model", {"steps": 3})
    assert found(Checkpoints(tmp_path / "new"), "train: the model") == {"steps": 3}
    assert found(Checkpoints(tmp_path / "new"), "another") is None


def test_only_the_owner_can_read_a_checkpoint(tmp_path):
    store(Checkpoints(tmp_path), "a", 1)
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)] == [0o600]


def test_no_checkpoint_without_a_folder():
    store(Checkpoints(None), "a", 1)
    assert found(Checkpoints(None), "a") is None


def test_other_settings_or_code_ignore_the_checkpoint_with_a_warning(tmp_path):
    store(Checkpoints(tmp_path), "a", 1, key=[1])
    with pytest.warns(UserWarning, match="other code or settings"):
        assert found(Checkpoints(tmp_path), "a", key=[2]) is None
    with pytest.warns(UserWarning, match="other code or settings"):
        assert found(Checkpoints(tmp_path, code="edited"), "a", key=[1]) is None
    assert found(Checkpoints(tmp_path), "a", key=[1]) == 1


def test_checkpoints_need_a_code_hash(tmp_path):
    with pytest.raises(PrivacyError, match="hash of the code"):
        checkpoints.Checkpoints(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "rubbish", "cut", "flipped", "no archive of torch"])
def test_damaged_checkpoint_is_ignored(tmp_path, damage):
    store(Checkpoints(tmp_path), "a", torch.ones(1000))
    [path] = files(tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[content.index(torch.ones(10).numpy().tobytes()) + 500] ^= 1  # torch would not detect it
    path.write_bytes({"empty": b"", "rubbish": b"rubbish", "cut": content[:-50]}.get(damage, content))
    if damage == "no archive of torch":
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", "b")
    with pytest.warns(UserWarning, match="damaged"):
        assert found(Checkpoints(tmp_path), "a") is None


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 10,000 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_state_that_does_not_fit_on_the_disk_ends_the_run(tmp_path, small_disk):
    store(Checkpoints(tmp_path), "a", torch.ones(1000))
    with pytest.raises(RunError, match=r"cannot write .*: File too large"):
        store(Checkpoints(tmp_path), "a", torch.ones(10_000))
    assert found(Checkpoints(tmp_path), "a").shape == (1000,)


def test_phases_with_the_same_name_are_numbered(tmp_path):
    first = Checkpoints(tmp_path)
    for value in (1, 2):
        first.next("train", None).save(value)
    second = Checkpoints(tmp_path)
    assert [second.next("train", None).load(torch.load) for _ in range(3)] == [1, 2, None]


def test_non_writing_process_does_not_change_checkpoints(tmp_path):
    store(Checkpoints(tmp_path), "a", 1)
    reader = Checkpoints(tmp_path, writes=False)
    store(reader, "b", 2)
    assert found(reader, "a") == 1
    assert [path.name.split(".")[0] for path in tmp_path.glob("[!.]*")] == ["a"]


def test_partial_files_are_ignored(tmp_path):
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / ".a-xyz.pt").write_bytes(b"half")
    assert not has_checkpoints(tmp_path)
    store(Checkpoints(tmp_path / "fit"), "a", 1)
    assert has_checkpoints(tmp_path)
    remove_checkpoints(tmp_path)
    assert not tmp_path.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        remove_checkpoints(tmp_path)


def test_the_noise_key_goes_first_and_a_warning_names_what_stays(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    store(Checkpoints(folder / "fit"), "discriminators", 1)
    NoiseKey().store(folder / "fit" / noise_key.FILE, "identity")
    with monkeypatch.context() as broken:
        broken.setattr("shutil.rmtree", lambda path, ignore_errors: None)
        with pytest.warns(UserWarning, match=f"cannot be removed; delete {re.escape(str(folder))}, "):
            remove_checkpoints(folder)
    assert [path.suffix for path in folder.rglob("[!.]*") if path.is_file()] == [".pt"]
    remove_checkpoints(folder)
    assert not folder.exists()


def test_a_noise_key_that_stays_does_not_keep_the_other_files(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    store(Checkpoints(folder / "fit"), "discriminators", 1)
    NoiseKey().store(folder / "fit" / noise_key.FILE, "identity")
    unlink = os.unlink

    def refuse(path, **options):
        if str(path).endswith(noise_key.FILE):
            raise PermissionError(path)
        unlink(path, **options)

    monkeypatch.setattr("os.unlink", refuse)
    with pytest.warns(UserWarning, match="cannot be removed"):
        remove_checkpoints(folder)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [noise_key.FILE]

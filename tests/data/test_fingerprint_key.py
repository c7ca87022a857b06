"""The user's key: whole or absent, refused where it is neither, and not lost with the cache."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import fakes
import pytest

from dpbench.benchmark.inputs import Inputs
from dpbench.core.data import DataOptions
from dpbench.core.errors import DpbenchError
from dpbench.data.fingerprint_key import fingerprint_key

NAME = "fingerprint.key"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_a_key_is_drawn_once_and_for_its_owner_alone(state: Path, cache: Path) -> None:
    key = fingerprint_key(state, cache)
    assert len(key) == 32
    assert fingerprint_key(state, cache) == key
    assert stat.S_IMODE((state / NAME).stat().st_mode) == 0o600
    assert fingerprint_key(state.parent / "another user", cache) != key


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_ends_the_writing_early_leaves_no_key(
    state: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:5])
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        with pytest.raises((KeyboardInterrupt, DpbenchError)):
            fingerprint_key(state, cache)
    assert not (state / NAME).exists()
    assert len(fingerprint_key(state, cache)) == 32


@pytest.mark.parametrize("length", [0, 5, 31, 33, 64])
def test_a_key_of_another_length_is_refused_by_name(state: Path, cache: Path, length: int) -> None:
    state.mkdir()
    (state / NAME).write_bytes(b"k" * length)
    with pytest.raises(DpbenchError, match=rf"{NAME} is damaged \({length} bytes, not 32\).*or delete it"):
        fingerprint_key(state, cache)
    assert (state / NAME).read_bytes() == b"k" * length


def test_the_key_of_an_earlier_version_moves_out_of_the_cache(state: Path, cache: Path) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(b"k" * 32)
    assert fingerprint_key(state, cache) == b"k" * 32
    assert not (cache / NAME).exists()
    assert fingerprint_key(state, cache) == b"k" * 32


@pytest.mark.parametrize("length", [0, 31])
def test_a_damaged_key_of_an_earlier_version_stays_where_it_is(state: Path, cache: Path, length: int) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(b"k" * length)
    key = fingerprint_key(state, cache)
    assert len(key) == 32
    assert key != b"k" * 32
    assert (cache / NAME).exists()


def test_the_loss_of_the_cache_makes_no_dataset_new(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> str:
        inputs = Inputs("tiny:secret", "tiny-public", DataOptions(tiny), tiny / "state")
        return inputs.fingerprint(inputs.train)

    first = shown()
    monkeypatch.setenv("DPBENCH_CACHE", str(tiny / "emptied"))
    assert shown() == first
    assert first != fakes.Tiny("secret", DataOptions(tiny)).train().fingerprint

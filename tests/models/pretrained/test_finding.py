"""Local lookup of pretrained weights and verification of their hashes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from pretrained_files import ONE, TWO, put

from dpbench.core.errors import DataError, DpbenchError, MissingScore, NotInstalled
from dpbench.models.pretrained.finding import find, fingerprint, lacks_weights, locate, sha256, weights_file
from dpbench.models.pretrained.published import WEIGHTS


def test_locate_returns_files_by_short_name(folder: Path) -> None:
    one, two = put(folder / "network/model.bin", ONE), put(folder / "network/config.json", TWO)
    assert locate("network") == {"model.bin": one, "config.json": two}


@pytest.mark.parametrize(
    "place",
    [
        "DPBENCH_WEIGHTS/network",
        "DPBENCH_CACHE/weights/network",
        "TORCH_HOME/hub/checkpoints/network",
        "clean-fid/network",
        "HF_HUB_CACHE/models--someone--network/snapshots/abc123",
    ],
)
def test_files_are_found_in_every_place(folder: Path, tmp_path: Path, place: str) -> None:
    path = put(tmp_path / place / "model.bin", ONE)
    assert find(WEIGHTS["network"].files[0]) == path


def test_dpbench_weights_folder_comes_first(folder: Path, tmp_path: Path) -> None:
    put(tmp_path / "DPBENCH_CACHE/weights/network/model.bin", b"old")
    path = put(folder / "network/model.bin", ONE)
    assert find(WEIGHTS["network"].files[0]) == path


def test_setting_names_listed_weights_a_path_or_a_file_in_the_weights_folder(folder: Path, tmp_path: Path) -> None:
    listed = put(folder / "network/model.bin", ONE)
    put(folder / "network/config.json", TWO)
    mine, elsewhere = put(folder / "mine.pth", ONE), put(tmp_path / "elsewhere.pth", TWO)
    assert [weights_file(name) for name in ("network", "mine.pth", str(elsewhere))] == [listed, mine, elsewhere]
    with pytest.raises(
        NotInstalled, match=r"there are no weights 'other\.pth'; give a name that `dpbench weights list`"
    ):
        weights_file("other.pth")


def test_missing_weights_error_is_also_a_missing_score(folder: Path) -> None:
    put(folder / "network/model.bin", ONE)  # without its configuration
    reason = "weights 'network' are not installed; run `dpbench weights get network`"
    for kind in (DpbenchError, MissingScore):
        with pytest.raises(kind, match=reason):
            locate("network")


def test_reason_of_missing_weights_holds_until_all_files_are_there(folder: Path) -> None:
    with pytest.raises(MissingScore) as error:
        locate("network")
    put(folder / "network/model.bin", ONE)
    assert lacks_weights(str(error.value))
    put(folder / "network/config.json", TWO)
    assert not lacks_weights(str(error.value))
    assert not lacks_weights("the dataset has no classes")


def test_reason_of_damaged_weights_holds_until_they_are_replaced(folder: Path) -> None:
    put(folder / "network/model.bin", b"half")
    put(folder / "network/config.json", TWO)
    with pytest.raises(MissingScore) as error:
        locate("network")
    assert lacks_weights(str(error.value))
    put(folder / "network/model.bin", ONE)
    assert not lacks_weights(str(error.value))


def test_damaged_copy_is_passed_over_for_an_intact_one(folder: Path, tmp_path: Path) -> None:
    damaged = put(folder / "network/model.bin", b"half")
    assert find(WEIGHTS["network"].files[0]) == damaged
    intact = put(tmp_path / "DPBENCH_CACHE/weights/network/model.bin", ONE)
    assert find(WEIGHTS["network"].files[0]) == intact


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_wrong_content_error_names_file_and_remedy(folder: Path, name: str) -> None:
    put(folder / "network/model.bin", ONE)
    put(folder / "network/config.json", TWO)
    path = put(folder / "network" / name, b"damaged")
    with pytest.raises(DataError) as error:
        locate("network")
    assert str(path) in str(error.value)
    assert hashlib.sha256(b"damaged").hexdigest()[:12] in str(error.value)
    assert "delete it and run `dpbench weights get network`" in str(error.value)


def test_fingerprint_is_the_hash_of_the_first_file(folder: Path) -> None:
    put(folder / "network/model.bin", ONE)
    put(folder / "network/config.json", TWO)
    assert fingerprint("network") == hashlib.sha256(ONE).hexdigest()[:12]


def test_file_hash_is_cached_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "file", ONE)
    opened: list[Path] = []
    reading = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: (opened.append(self), reading(self, *a, **k))[1])
    assert sha256(path) == sha256(path) == hashlib.sha256(ONE).hexdigest()
    assert len(opened) == 1
    path.write_bytes(TWO)
    opened.clear()
    assert sha256(path) == hashlib.sha256(TWO).hexdigest()
    assert len(opened) == 1
    os.utime(path, ns=(1, 1))  # same size, different modification time
    sha256(path)
    assert len(opened) == 2

"""Finding pretrained weights, and that they are what they say."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dpbench.core.errors import DataError, DpbenchError, MissingScore, UnknownName
from dpbench.models.pretrained import published as weights
from dpbench.models.pretrained.published import (
    WEIGHTS,
    File,
    Weights,
    find,
    fingerprint,
    gathered,
    locate,
    named,
    places,
    sha256,
)

ONE, TWO = b"the parameters", b"the configuration"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's, and named weights of two files; every cache is empty."""
    for variable in ("DPBENCH_WEIGHTS", "DPBENCH_CACHE", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setattr(weights, "CLEAN_FID", tmp_path / "clean-fid")
    monkeypatch.setattr(weights, "places", places)
    hub = "https://huggingface.co/someone/network/resolve/abc123"
    files = (
        File("network/model.bin", f"{hub}/model.bin", hashlib.sha256(ONE).hexdigest(), len(ONE)),
        File("network/config.json", f"{hub}/config.json", hashlib.sha256(TWO).hexdigest()[:8], len(TWO)),
    )
    monkeypatch.setitem(WEIGHTS, "network", Weights(files, "nothing", "nobody"))
    return tmp_path / "DPBENCH_WEIGHTS"


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_files_are_found_by_their_short_names(folder: Path) -> None:
    one, two = put(folder / "network/model.bin", ONE), put(folder / "network/config.json", TWO)
    assert locate("network") == {"model.bin": one, "config.json": two}


@pytest.mark.parametrize(
    "place",
    [
        "DPBENCH_WEIGHTS/network",
        "DPBENCH_CACHE/weights/network",
        "TORCH_HOME/hub/checkpoints/network",
        "clean-fid/network",
        "HF_HOME/hub/models--someone--network/snapshots/abc123",
    ],
)
def test_files_are_found_in_the_users_folder_and_in_the_usual_caches(folder: Path, tmp_path: Path, place: str) -> None:
    path = put(tmp_path / place / "model.bin", ONE)
    assert find(WEIGHTS["network"].files[0]) == path


def test_the_users_folder_comes_first(folder: Path, tmp_path: Path) -> None:
    put(tmp_path / "DPBENCH_CACHE/weights/network/model.bin", b"old")
    path = put(folder / "network/model.bin", ONE)
    assert find(WEIGHTS["network"].files[0]) == path


def test_missing_weights_are_an_error_and_a_missing_score_alike(folder: Path) -> None:
    put(folder / "network/model.bin", ONE)  # but not its configuration
    reason = "weights 'network' are not here; `dpbench weights get network`"
    for kind in (DpbenchError, MissingScore):
        with pytest.raises(kind, match=reason):
            locate("network")


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown weights 'incepton'; did you mean inception\?"):
        named("incepton")


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_a_file_with_other_content_says_which_and_what_to_do(folder: Path, name: str) -> None:
    put(folder / "network/model.bin", ONE)
    put(folder / "network/config.json", TWO)
    path = put(folder / "network" / name, b"damaged")
    with pytest.raises(DataError) as error:
        locate("network")
    assert str(path) in str(error.value)
    assert hashlib.sha256(b"damaged").hexdigest()[:12] in str(error.value)
    assert "delete it and run `dpbench weights get network`" in str(error.value)


def test_the_hash_is_that_of_the_first_file(folder: Path) -> None:
    put(folder / "network/model.bin", ONE)
    put(folder / "network/config.json", TWO)
    assert fingerprint("network") == hashlib.sha256(ONE).hexdigest()[:12]


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    os.utime(path, ns=(1, 1))  # same size, other time
    sha256(path)
    assert len(opened) == 2


def test_files_from_several_places_are_gathered_in_one_folder(folder: Path, tmp_path: Path) -> None:
    put(folder / "network/model.bin", ONE)
    put(tmp_path / "TORCH_HOME/hub/checkpoints/network/config.json", TWO)
    with gathered("network") as together:
        assert {path.name: path.read_bytes() for path in together.iterdir()} == {"model.bin": ONE, "config.json": TWO}
    assert not together.exists()


def test_published_weights_have_hashes_sizes_and_names_of_their_own() -> None:
    files = [file for each in WEIGHTS.values() for file in each.files]
    assert len({file.name for file in files}) == len(files)
    for file in files:
        assert 8 <= len(file.sha256) <= 64
        assert set(file.sha256) <= set("0123456789abcdef")
        assert file.size > 0
        assert file.url.startswith("https://")
        assert file.url.endswith(file.short)
    for each in WEIGHTS.values():
        assert len({file.short for file in each.files}) == len(each.files)


def test_the_table_needs_no_torch() -> None:
    code = "import sys, dpbench.models.pretrained.downloads, dpbench.cli.weights; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

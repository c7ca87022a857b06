"""Links to the files of a network in one folder, as transformers needs them."""

from __future__ import annotations

from pathlib import Path

from pretrained_files import ONE, TWO, put

from dpbench.models.pretrained.hub import linked_folder


def test_files_from_several_places_are_linked_in_one_folder(folder: Path, tmp_path: Path) -> None:
    put(folder / "network/model.bin", ONE)
    put(tmp_path / "TORCH_HOME/hub/checkpoints/network/config.json", TWO)
    with linked_folder("network") as together:
        assert {path.name: path.read_bytes() for path in together.iterdir()} == {"model.bin": ONE, "config.json": TWO}
    assert not together.exists()

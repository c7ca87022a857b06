from __future__ import annotations

from pathlib import Path

import pytest
import spandrel
import torch
import torchvision
from safetensors.torch import load_file, save_file
from tiny_upscalers import NETWORKS, save_network

from dpbench.core.errors import ConfigError, DataError
from dpbench.models.pretrained.super_resolvers import load_super_resolver


@pytest.mark.parametrize("side", [1, 9])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_recognised_by_their_weights(tmp_path: Path, name: str, side: int) -> None:
    network = load_super_resolver(save_network(tmp_path / "some.safetensors", name))
    images = torch.rand(2, network.input_channels, side, side)
    assert network(images).shape == (2, network.input_channels, side * network.scale, side * network.scale)
    assert network.scale == int(name.rpartition("-x")[2] or 4) if "-x" in name else network.scale == 4


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_network_computes_what_the_saved_one_does(tmp_path: Path, suffix: str) -> None:
    path = save_network(tmp_path / f"some{suffix}")
    torch.manual_seed(0)
    original, images = NETWORKS["esrgan-x4"]().eval(), torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        assert torch.allclose(load_super_resolver(path)(images), original(images).clamp(0, 1), atol=1e-6)


def test_half_precision_weights_are_computed_in_full_precision(tmp_path: Path) -> None:
    path = save_network(tmp_path / "some.safetensors")
    save_file({name: value.half() for name, value in load_file(path).items()}, path)
    assert load_super_resolver(path)(torch.rand(1, 3, 4, 4)).dtype == torch.float32


def _truncated(path: Path) -> None:
    path.write_bytes(save_network(path).read_bytes()[:-100])


def _text(path: Path) -> None:
    path.write_text("hello", encoding="utf-8")


def _classifier(path: Path) -> None:
    save_file(torchvision.models.squeezenet1_1().state_dict(), path)


def _part(path: Path) -> None:
    state = load_file(save_network(path))
    del state["model.1.sub.0.RDB1.conv2.0.bias"]
    save_file(state, path)


def _not_finite(path: Path) -> None:
    state = load_file(save_network(path))
    state["model.0.bias"][0] = torch.nan
    save_file(state, path)


def _four_channels(path: Path) -> None:
    state = load_file(save_network(path))
    state["model.0.weight"] = torch.zeros(8, 4, 3, 3)
    save_file(state, path)


BAD = [
    ("a.safetensors", _truncated, DataError, "is damaged or not a weights file"),
    ("a.pth", _truncated, DataError, "is damaged or not a weights file"),
    ("a.pth", _text, DataError, "is damaged or not a weights file"),
    ("a.safetensors", _text, DataError, "is damaged or not a weights file"),
    ("a.txt", _text, DataError, r"not a weights file \(Unsupported model file extension .txt"),
    ("a.safetensors", _classifier, ConfigError, "holds no super-resolution network that spandrel knows"),
    ("a.safetensors", _part, DataError, "lacks weights of its network"),
    ("a.safetensors", _not_finite, DataError, r"weights that are not finite \(the first in model.0.bias\)"),
    ("a.safetensors", _four_channels, ConfigError, "maps 4 channels to 3; choose one for images"),
]


@pytest.mark.parametrize(("file", "write", "kind", "message"), BAD)
def test_other_files_are_refused_in_one_line(tmp_path: Path, file: str, write, kind, message: str) -> None:
    write(tmp_path / file)
    with pytest.raises(kind, match=message) as error:
        load_super_resolver(tmp_path / file)
    assert file in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("purpose", ["FaceSR", "Inpainting"])
def test_networks_for_other_tasks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, purpose: str) -> None:
    path = save_network(tmp_path / "some.safetensors")
    network = load_super_resolver(path)
    monkeypatch.setattr(network, "_purpose", purpose)
    monkeypatch.setattr(spandrel.MAIN_REGISTRY, "load", lambda state: network)
    with pytest.raises(ConfigError, match=f"holds a network for {purpose}; choose one for super-resolution"):
        load_super_resolver(path)

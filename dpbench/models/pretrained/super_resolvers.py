"""Public super-resolution networks of many architectures, loaded from a weights file by spandrel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dpbench.core.errors import ConfigError, DataError, reason
from dpbench.core.extras import import_extra

PURPOSES = ("SR", "Restoration")
"""Kinds of networks that can add detail to any image, in spandrel's words."""


def load_super_resolver(path: Path) -> Any:
    """The super-resolution network in a weights file; spandrel recognises its architecture from the weight names.

    Args:
        path: .pth, .pt, .ckpt or .safetensors. Pickled files are read without running their code.

    Returns:
        a `spandrel.ImageModelDescriptor` in fp32 and evaluation mode. Called with images in [0, 1], it returns images
        in [0, 1] that are `scale` times as large; both have `input_channels` channels, 1 or 3.

    Raises:
        NotInstalled: spandrel is not installed.
        DataError: the file is damaged, or weights are not finite.
        ConfigError: it holds something other than a super-resolution network.
    """
    spandrel = import_extra("spandrel", "sr")
    try:
        state = spandrel.ModelLoader().load_state_dict_from_file(path)
    except Exception as error:  # the file formats have no common base class
        raise DataError(f"{path} is damaged or not a weights file ({reason(error)})") from error
    try:
        network = spandrel.MAIN_REGISTRY.load(state)
    except spandrel.UnsupportedModelError as error:
        raise ConfigError(f"{path} holds no super-resolution network that spandrel knows") from error
    except Exception as error:  # each architecture reads its sizes from the names and shapes in its own way
        raise DataError(f"{path} lacks weights of its network, or has unexpected ones ({reason(error)})") from error
    _check(network, path)
    return network.float().eval()


def _check(network: Any, path: Path) -> None:
    if network.purpose not in PURPOSES:
        raise ConfigError(f"{path} holds a network for {network.purpose}; choose one for super-resolution")
    channels = (network.input_channels, network.output_channels)
    if channels not in ((1, 1), (3, 3)):
        raise ConfigError(f"the network in {path} maps {channels[0]} channels to {channels[1]}; choose one for images")
    weights = network.model.state_dict().items()
    if bad := [name for name, tensor in weights if tensor.is_floating_point() and not tensor.isfinite().all()]:
        raise DataError(f"{path} has weights that are not finite (the first in {bad[0]}); get the file again")

"""Public latent diffusion models in the format of diffusers' pipelines: a folder, or a repository of the hub.

A pipeline's folder has `unet`, `vae` (or `vqvae`) and `scheduler`, each with its `config.json`. Its text encoder is not
read here: captions use one of `text_encoders`, and classes get a new embedder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
from diffusers import DDIMScheduler
from torch import nn

from dpbench.core.errors import ConfigError, DataError, reason
from dpbench.core.files import read_json
from dpbench.models.pretrained.pipeline_folders import pipeline_folder

PREDICTIONS = ("epsilon", "v_prediction")
UNETS = ("UNet2DModel", "UNet2DConditionModel")
AUTOENCODERS = ("AutoencoderKL", "VQModel")


class LatentPipeline(NamedTuple):
    """The parts of a latent diffusion model.

    Attributes:
        autoencoder: an `AutoencoderKL` or `VQModel`.
        unet: a `UNet2DModel` or `UNet2DConditionModel`.
        schedule: noise levels and prediction.
    """

    autoencoder: nn.Module
    unet: nn.Module
    schedule: DDIMScheduler


def load_pipeline(name: str, resolution: int) -> LatentPipeline:
    """The parts of a stored pipeline; downloads nothing.

    Args:
        name: a folder, or the name of a repository in the hub's cache.
        resolution: height and width of the images in pixels.

    Raises:
        NotInstalled: there is neither.
        ConfigError: it is not a latent diffusion model that can be conditioned on classes or captions, or its networks
            do not fit the resolution.
        DataError: a file is missing or damaged.
    """
    folder = pipeline_folder(name)
    vae = "vae" if (folder / "vae").is_dir() else "vqvae"
    autoencoder, unet = _load(folder / vae, AUTOENCODERS), _load(folder / "unet", UNETS)
    given, wanted = unet.config.in_channels, autoencoder.config.latent_channels
    if given != wanted or getattr(unet.config, "addition_embed_type", None):
        raise ConfigError(f"the U-Net in {folder} needs other inputs than a latent of {wanted} channels and a class")
    multiple = 2 ** sum(len(network.config.block_out_channels) - 1 for network in (autoencoder, unet))
    if resolution % multiple:
        raise ConfigError(f"the checkpoint needs a resolution that is a multiple of {multiple}; set --resolution")
    settings = {**_config(folder / "scheduler", "scheduler_config.json"), "clip_sample": False}
    if (prediction := settings.get("prediction_type", PREDICTIONS[0])) not in PREDICTIONS:
        raise ConfigError(f"the U-Net in {folder} predicts '{prediction}'; it must predict {' or '.join(PREDICTIONS)}")
    schedule = DDIMScheduler.from_config(settings, timestep_spacing="trailing")
    return LatentPipeline(autoencoder, unet, schedule)


def _load(folder: Path, known: tuple[str, ...]) -> Any:
    """A network of one of the known classes."""
    name = _config(folder).get("_class_name")
    if name not in known:
        raise ConfigError(f"{folder} holds a {name}; checkpoints need a {' or '.join(known)}")
    try:
        return getattr(diffusers, name).from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"cannot load the weights in {folder}: {reason(error)}") from error


def _config(folder: Path, file: str = "config.json") -> Mapping[str, Any]:
    config: Mapping[str, Any] = read_json(folder / file)
    return config

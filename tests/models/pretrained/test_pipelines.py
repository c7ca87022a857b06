import json

import pytest
import torch
from tiny_pipelines import SAVED, save_stable_diffusion, save_unconditional

from dpbench.core.errors import ConfigError, DataError, NotInstalled
from dpbench.models.autoencoder import Autoencoder
from dpbench.models.class_unet import with_classes
from dpbench.models.pretrained.pipelines import load_pipeline


@pytest.mark.parametrize("kind", SAVED)
def test_parts_of_a_saved_pipeline_are_loaded(tmp_path, kind):
    parts = load_pipeline(str(SAVED[kind](tmp_path)), 16)
    autoencoder, unet = Autoencoder(parts.autoencoder, 1), with_classes(parts.unet, 3)
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    with torch.no_grad():
        latents = autoencoder.encode(images)
        assert latents.shape == (2, autoencoder.latent_channels, 8, 8)
        assert unet(latents, 5, torch.tensor([0, 2])).shape == latents.shape
        assert autoencoder.decode(latents).shape == images.shape


def test_schedule_and_scale_are_those_of_the_checkpoint(tmp_path):
    parts = load_pipeline(str(save_stable_diffusion(tmp_path / "a")), 16)
    config = parts.schedule.config
    assert (config.beta_start, config.beta_end, config.beta_schedule) == (0.00085, 0.012, "scaled_linear")
    assert not config.clip_sample  # latents are not bounded
    assert torch.all(Autoencoder(parts.autoencoder, 3).scale == torch.tensor(0.18215))
    assert load_pipeline(str(save_unconditional(tmp_path / "b")), 16).schedule.config.prediction_type == "v_prediction"


def test_missing_pipeline_is_named(tmp_path):
    with pytest.raises(NotInstalled, match=r"no folder 'nobody/nothing'.*hf download nobody/nothing"):
        load_pipeline("nobody/nothing", 16)
    with pytest.raises(NotInstalled, match="no folder"):
        load_pipeline(str(tmp_path / "a" / "b" / "c"), 16)


def test_other_models_are_refused(tmp_path):
    folder = save_stable_diffusion(tmp_path, in_channels=9)  # inpainting
    with pytest.raises(ConfigError, match="other inputs than a latent of 4 channels"):
        load_pipeline(str(folder), 16)
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({"_class_name": "FluxTransformer2DModel"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="holds a FluxTransformer2DModel; checkpoints need a UNet2DModel or"):
        load_pipeline(str(folder), 16)


def test_a_network_that_predicts_the_image_is_refused(tmp_path):
    folder = save_stable_diffusion(tmp_path)
    config = folder / "scheduler" / "scheduler_config.json"
    stored = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(stored | {"prediction_type": "sample"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="predicts 'sample'; it must predict epsilon or v_prediction"):
        load_pipeline(str(folder), 16)


def test_missing_weights_are_named(tmp_path):
    folder = save_stable_diffusion(tmp_path)
    next((folder / "unet").glob("*.safetensors")).unlink()
    with pytest.raises(DataError, match=r"cannot load the weights in .*unet"):
        load_pipeline(str(folder), 16)

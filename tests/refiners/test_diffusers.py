from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import LDMSuperResolutionPipeline
from safetensors.torch import load_file, save_file
from tiny_upscalers import PIPELINES, save_upscaler
from torch import Tensor

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError, DataError, DpbenchError, NotInstalled
from dpbench.core.registries import REFINERS
from dpbench.models.pretrained.upscaling_pipelines import load_upscaler
from dpbench.refiners.diffusers import Diffusers


def _run(seed: int = 0) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(seed), PublicCache(Path("none")))


def _refiner(folder: Path, **settings: object) -> Diffusers:
    plugin = REFINERS.get("diffusers")
    return plugin(build(plugin.Config, {"pipeline": str(folder), "sampling_steps": 2, **settings}))


def _images(channels: int, side: int, count: int = 1) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", PIPELINES)
def test_image_depends_on_its_own_seed_alone(tmp_path, name):
    refiner, coarse = _refiner(save_upscaler(tmp_path, name), batch=2), _images(1, 4, 3)
    whole, run = refiner(coarse, 16, _run()), _run()
    alone = torch.cat([refiner(image[None], 16, run) for image in coarse])
    assert whole.shape == (3, 1, 16, 16)
    assert torch.allclose(whole, alone, atol=1e-4)
    assert not torch.allclose(whole, refiner(coarse, 16, _run(1)), atol=1e-2)
    assert whole.abs().max() <= 1


@pytest.mark.parametrize("name", PIPELINES)
def test_any_size_is_padded_and_cut_back(tmp_path, name):
    refiner = _refiner(save_upscaler(tmp_path, name))
    for side, size in ((1, 2), (3, 24)):
        assert refiner(_images(3, side), size, _run()).shape == (1, 3, size, size)


def test_image_of_the_pipeline_is_returned(tmp_path):
    folder, coarse = save_upscaler(tmp_path), _images(3, 16)
    pipeline = LDMSuperResolutionPipeline.from_pretrained(folder)
    seed = int(torch.randint(2**63 - 1, (), generator=_run().generator))
    expected = pipeline(
        coarse, num_inference_steps=2, generator=torch.Generator().manual_seed(seed), output_type="pt"
    ).images
    assert torch.allclose(_refiner(folder)(coarse, 64, _run()), expected * 2 - 1, atol=1e-5)


@pytest.mark.parametrize("name", ["stable-diffusion", "latent-upscaler"])
def test_prompt_and_guidance_reach_a_pipeline_with_text(tmp_path, name):
    folder, coarse = save_upscaler(tmp_path, name), _images(3, 4)
    plain, prompted, guided = (
        _refiner(folder, **settings)(coarse, 16, _run())
        for settings in ({}, {"prompt": "photo"}, {"prompt": "photo", "guidance": 9})
    )
    assert not torch.equal(plain, prompted)
    assert not torch.equal(prompted, guided)


def test_row_names_the_pipeline_and_a_saved_model_takes_no_other(tmp_path):
    folder = save_upscaler(tmp_path)
    refiner = _refiner(folder)
    refiner(_images(3, 4), 16, _run())
    state = refiner.state_dict()
    assert refiner.parameters() > 1000
    assert Diffusers.track_of(refiner.config) == "foundation"
    assert Diffusers.weights_of(refiner.config) == {folder.name: bytes(state["sha256"].tolist()).hex()[:12]}
    (folder / "scheduler/scheduler_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="'latent-diffusion' are not those that the model was saved with"):
        _refiner(folder).load_state_dict(state)


def _other_class(folder: Path) -> None:
    index = folder / "model_index.json"
    index.write_text(json.dumps({"_class_name": "FluxPipeline"}), encoding="utf-8")


def _without_weights(folder: Path) -> None:
    next((folder / "unet").glob("*.safetensors")).unlink()


def _truncated(folder: Path) -> None:
    path = next((folder / "unet").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])


def _not_finite(folder: Path) -> None:
    path = next((folder / "unet").glob("*.safetensors"))
    state = load_file(path)
    state["conv_in.bias"] = torch.full_like(state["conv_in.bias"], torch.nan)
    save_file(state, path, {"format": "pt"})


BAD = [
    (_other_class, ConfigError, "holds a FluxPipeline; an upscaler is one of StableDiffusionUpscalePipeline, "),
    (lambda folder: (folder / "model_index.json").unlink(), DpbenchError, "cannot read .*model_index.json"),
    (_without_weights, DataError, "cannot load the pipeline in"),
    (_truncated, DataError, "cannot load the pipeline in"),
    (_not_finite, DataError, "has weights that are not finite"),
]


@pytest.mark.parametrize(("spoil", "kind", "message"), BAD)
def test_other_folders_are_refused_in_one_line(tmp_path, spoil, kind, message):
    folder = save_upscaler(tmp_path)
    spoil(folder)
    with pytest.raises(kind, match=message) as error:
        load_upscaler(str(folder))
    assert "\n" not in str(error.value)


def test_missing_pipeline_is_one_line():
    with pytest.raises(NotInstalled, match="or run `hf download nobody/nothing`"):
        Diffusers.weights_of(build(Diffusers.Config, {"pipeline": "nobody/nothing"}))

import json

import pytest
import torch
from tiny_image_pipelines import save_image_pipeline

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError, DataError, NotInstalled
from dpbench.generators.img2img import Img2Img
from dpbench.models.pretrained import image_pipelines
from dpbench.models.pretrained.image_pipelines import load_image_pipeline

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_image_pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture
def run(tmp_path) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path))


def generator(folder, **settings: object) -> Img2Img:
    small = {"pipeline": str(folder), "sampling_steps": 4, "size": 32, "guidance": 1.0}
    return Img2Img(build(Img2Img.Config, small | settings), (1, 16, 16))


def test_the_degree_is_the_strength_and_images_have_the_model_s_size(folder, run, monkeypatch):
    calls = []

    def vary(pipeline, images, prompt, strength, seeds, options):
        calls.append((tuple(images.shape), prompt, strength, options["num_inference_steps"]))
        return images

    monkeypatch.setattr(image_pipelines, "vary", vary)
    model = generator(folder, prompt="a digit", batch=3)
    images = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 1, 16, 16) * 60
    varied = model.vary(model.adopt(images), 0.6, run)
    assert calls == [((3, 3, 32, 32), "a digit", 0.6, 4), ((1, 3, 32, 32), "a digit", 0.6, 4)]
    assert torch.equal(varied.images, images)  # to the model's size and back
    model.vary(model.adopt(images), 0.01, run)
    assert calls[-1][2] == 0.25  # one of four steps


def test_an_image_does_not_depend_on_its_batch(folder, run):
    images = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8)
    together, alone = (
        generator(folder, batch=batch).vary(
            generator(folder).adopt(images), 0.5, RunContext("cpu", torch.Generator().manual_seed(1), run.cache)
        )
        for batch in (3, 1)
    )
    assert (together.images.int() - alone.images.int()).abs().max() <= 1


def test_missing_and_other_pipelines_are_refused(folder, tmp_path):
    with pytest.raises(NotInstalled, match="hf download"):
        Img2Img.weights_of(build(Img2Img.Config, {"pipeline": "nobody/nothing"}))
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "DiTPipeline"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="holds a DiTPipeline"):
        load_image_pipeline(str(tmp_path))


def test_a_saved_model_needs_the_same_weights(folder, run):
    model = generator(folder)
    model.prepare(None, run)
    state = model.state_dict()
    assert bytes(state["sha256"].tolist()).hex().startswith(next(iter(Img2Img.weights_of(model.config).values())))
    with pytest.raises(DataError, match="are not those that the model was saved with"):
        generator(folder).load_state_dict({"sha256": 255 - state["sha256"]})


def test_a_restored_model_is_saved_again_before_it_draws(folder, run):
    model, restored = generator(folder), generator(folder)
    model.prepare(None, run)
    restored.load_state_dict(model.state_dict())
    generator(folder).load_state_dict(restored.state_dict())

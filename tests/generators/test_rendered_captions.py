"""The generators whose candidates are captions: captions and text-to-image."""

from __future__ import annotations

import pytest
import torch

from dpbench.contracts.small_sets import bars, bars_spec, captioned_bars
from dpbench.core.cache import PublicCache
from dpbench.core.captions import encode_captions
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError, DataError
from dpbench.core.public_generator import Candidates
from dpbench.core.registries import GENERATORS
from dpbench.data.arrays import ArrayDataset
from dpbench.generators.caption_diffusion import CaptionDiffusion
from dpbench.generators.caption_pipeline import CaptionPipeline
from dpbench.generators.captioned import captions_of
from dpbench.models.pretrained import image_pipelines

SHAPE = (1, 16, 16)
SMALL = {
    "steps": 90, "batch": 32, "lr": 3e-3, "channels": (16,), "sampling_steps": 6, "text_tokens": 4, "text.dim": 16,
    "context": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def public():
    return captioned_bars(bars_spec(), 100, seed=2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return PublicCache(tmp_path_factory.mktemp("public"))


@pytest.fixture
def run(cache) -> RunContext:
    torch.manual_seed(0)
    return RunContext("cpu", torch.Generator().manual_seed(0), cache)


def new(name: str, **settings: object):
    plugin = GENERATORS.get(name)
    return plugin(build(plugin.Config, settings), SHAPE)


@pytest.fixture(scope="module")
def diffusion(public, cache):
    torch.manual_seed(0)
    generator = new("captions", **SMALL)
    generator.prepare(public, RunContext("cpu", torch.Generator().manual_seed(0), cache))
    return generator


def candidates(*captions: str) -> Candidates:
    origins = encode_captions(captions, 160).float()
    return Candidates(torch.zeros(len(captions), *SHAPE, dtype=torch.uint8), origins)


def is_horizontal(images):
    pixels = images.float().squeeze(1)
    return pixels.mean(2).var(1) > pixels.mean(1).var(1)


def test_an_image_shows_its_caption(diffusion, run):
    drawn = diffusion.random(60, run)
    said = torch.tensor(["horizontal" in caption for caption in captions_of(drawn)])
    assert set(captions_of(drawn)) == {"a horizontal bar", "a vertical bar"}
    assert (is_horizontal(drawn.images) == said).float().mean() > 0.8
    varied = diffusion.vary(drawn, 1.0, run)
    said = torch.tensor(["horizontal" in caption for caption in captions_of(varied)])
    assert (is_horizontal(varied.images) == said).float().mean() > 0.8
    assert captions_of(varied) != captions_of(drawn)


def test_a_variation_is_rendered_anew_even_where_its_caption_stays(diffusion, run):
    given = diffusion.random(20, run)
    varied = diffusion.vary(given, 1e-9, run)
    assert torch.equal(varied.origins, given.origins)
    assert not (varied.images == given.images).flatten(1).all(1).any()


def test_captions_are_varied_one_by_one(diffusion, run):
    drawn = diffusion.random(40, run)
    rows = torch.tensor([3, *range(1, 40)])
    run.generator.manual_seed(5)
    varied = diffusion.vary(drawn, 0.5, run)
    run.generator.manual_seed(5)
    assert captions_of(diffusion.vary(drawn.select(rows), 0.5, run))[1:] == captions_of(varied)[1:]


def test_captions_that_are_too_long_are_cut_and_rendered_as_they_are_kept(public, run, monkeypatch):
    generator, seen = new("text-to-image", caption_bytes=12), []
    monkeypatch.setattr("dpbench.generators.stored_pipeline.StoredPipeline.load", lambda *_: None)
    monkeypatch.setattr(generator, "render", lambda captions, run: seen.extend(captions) or torch.zeros(9, *SHAPE))
    generator.prepare(public, run)
    drawn = generator.random(9, run)
    assert drawn.origins.shape == (9, 12)
    assert set(seen) <= {"a horizontal", "a vertical b"}
    assert captions_of(drawn) == seen


def test_public_captions_are_drawn_without_repetition_of_records(run, monkeypatch):
    spec = captioned_bars(bars_spec(), 1, seed=0).spec
    texts = [f"{i} a\n{i} b" if i % 3 else "" for i in range(30)]
    several = ArrayDataset(spec, torch.zeros(30, *SHAPE, dtype=torch.uint8), texts)
    monkeypatch.setattr("dpbench.generators.stored_pipeline.StoredPipeline.load", lambda *_: None)
    for pool, known in ((100, 40), (7, 7)):
        generator = new("text-to-image", pool=pool)
        generator.prepare(several, run)
        captions = generator._captions.captions
        assert len(captions) == len(set(captions)) == known
        assert all(caption.split()[1] in "ab" for caption in captions)


@pytest.mark.parametrize("name", ["captions", "text-to-image"])
def test_a_public_source_without_captions_is_refused(name, run):
    labelled = bars(bars_spec(), 10, seed=0)
    with pytest.raises(ConfigError, match="candidates are captions, and 'bars' has none; name a source with captions"):
        new(name).prepare(labelled, run)
    empty = ArrayDataset(captioned_bars(bars_spec(), 1, 0).spec, labelled.batch(range(10)).images, [""] * 10)
    with pytest.raises(ConfigError, match="no public image of 'bars' has a caption"):
        new(name).prepare(empty, run)


def test_the_model_is_trained_once_whatever_its_captions_and_its_sampler(public, run, monkeypatch, diffusion):
    trained = []
    monkeypatch.setattr(
        CaptionDiffusion, "_trained", lambda self, *_: trained.append(self) or self._network().state_dict()
    )
    for same in ({"sampling_steps": 2, "sigma_min": 0.5, "guidance": 1.0}, {"pool": 20}):
        new("captions", **SMALL | same).prepare(public, run)
    assert not trained
    for other in ({"lr": 1e-3}, {"text.dim": 8}, {"text_tokens": 3}, {"context": 8}):
        new("captions", **SMALL | other).prepare(public, run)
    assert len(trained) == 4


def test_a_restored_generator_knows_its_captions_and_its_weights(diffusion, run):
    restored = new("captions", **SMALL)
    restored.load_state_dict(diffusion.state_dict())
    assert restored._captions.captions == diffusion._captions.captions
    run.generator.manual_seed(3)
    first = diffusion.random(5, run)
    run.generator.manual_seed(3)
    again = restored.random(5, run)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.origins, again.origins)


def test_settings_and_shapes_are_checked():
    with pytest.raises(ConfigError, match="do not divide 18 pixels"):
        CaptionDiffusion.check_shape(build(CaptionDiffusion.Config, {}), (1, 18, 18))
    with pytest.raises(ConfigError, match="channels must be positive multiples"):
        build(CaptionDiffusion.Config, {"channels": (9,)})
    with pytest.raises(ConfigError, match="or neither"):
        build(CaptionDiffusion.Config, {"language_model": "bert"})
    with pytest.raises(ConfigError, match="set guidance=1"):
        build(CaptionDiffusion.Config, {"label_dropout": 0})


def test_weights_of_other_origin_move_the_row_to_foundation():
    own = build(CaptionDiffusion.Config, {})
    assert (CaptionDiffusion.track_of(own), CaptionDiffusion.weights_of(own)) == ("images", {})
    for settings in ({"text.name": "t5"}, {"edits": "language-model", "language_model": "bert"}):
        assert CaptionDiffusion.track_of(build(CaptionDiffusion.Config, settings)) == "foundation"
    assert CaptionPipeline.track_of(build(CaptionPipeline.Config, {})) == "foundation"


def test_a_pipeline_gets_each_caption_as_the_prompt_of_its_image(public, run, monkeypatch):
    calls = []

    def draw(pipeline, prompts, seeds, size, options):
        calls.append((list(prompts), size, options["num_inference_steps"]))
        return torch.tensor([0.2 if "horizontal" in p else 0.6 for p in prompts])[:, None, None, None].expand(
            -1, 3, 8, 8
        )

    monkeypatch.setattr(image_pipelines, "draw", draw)
    monkeypatch.setattr("dpbench.generators.stored_pipeline.StoredPipeline.load", lambda *_: None)
    generator = new("text-to-image", batch=3, size=8, sampling_steps=5)
    generator.prepare(public, run)
    drawn = generator.random(4, run)
    assert [len(prompts) for prompts, _, _ in calls] == [3, 1]
    assert [prompt for prompts, _, _ in calls for prompt in prompts] == captions_of(drawn)
    assert calls[0][1:] == (8, 5)
    assert drawn.images[:, 0, 0, 0].tolist() == [51 if "horizontal" in c else 153 for c in captions_of(drawn)]


def test_a_saved_model_needs_the_pipeline_that_it_was_saved_with(public, run, tmp_path):
    pytest.importorskip("transformers")
    from tiny_image_pipelines import save_captioned_pipeline

    folder = save_captioned_pipeline(tmp_path / "pipeline")
    generator = new("text-to-image", pipeline=str(folder))
    generator.prepare(public, run)
    state = generator.state_dict()
    assert bytes(state["sha256"].tolist()).hex()[:12] == CaptionPipeline.weights_of(generator.config)["text-to-image"]
    with pytest.raises(DataError, match="are not those that the model was saved with"):
        new("text-to-image", pipeline=str(folder)).load_state_dict(state | {"sha256": 255 - state["sha256"]})

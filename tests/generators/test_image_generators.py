"""The generators that know public images: nearest, diffusion, composite."""

import pytest
import torch

from dpbench.contracts.small_sets import bars, bars_spec
from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.public_generator import Candidates
from dpbench.core.registries import GENERATORS

SHAPE = (1, 16, 16)
SMALL = {"steps": 60, "batch": 32, "lr": 3e-3, "channels": (16,), "sampling_steps": 6, "augmentation": "none"}


@pytest.fixture(scope="module")
def public():
    return bars(bars_spec(), 100, seed=2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return PublicCache(tmp_path_factory.mktemp("public"))


@pytest.fixture
def run(cache) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), cache)


def made(name: str, public, run, **settings: object):
    plugin = GENERATORS.get(name)
    generator = plugin(build(plugin.Config, settings), SHAPE)
    generator.prepare(public, run)
    return generator


def distances(a, b):
    return (a.float() - b.float()).square().flatten(1).mean(1).sqrt()


def test_nearest_draws_public_images_without_repetition_in_its_pool(public, run):
    pool = made("nearest", public, run, pool=30)._pool
    everything = public.batch(range(100)).images
    assert len(pool) == 30
    assert all((everything == image).flatten(1).all(1).any() for image in pool)
    assert len(torch.unique(pool, dim=0)) == 30


def test_nearest_varies_within_the_nearest_images_of_the_pool(public, run):
    generator = made("nearest", public, run, neighbours=10)
    first = generator.random(50, run)
    assert torch.equal(generator.vary(first, 0.05, run).images, first.images)  # one neighbour: the image itself
    varied = generator.vary(first, 1.0, run).images
    tenth = torch.stack([distances(image[None], generator._pool).sort().values[9] for image in first.images])
    assert (distances(first.images, varied) <= tenth + 1e-4).all()
    assert (distances(first.images, varied) > 0).float().mean() > 0.8


@pytest.fixture(scope="module")
def diffusion(public, cache):
    return made("diffusion", public, RunContext("cpu", torch.Generator().manual_seed(0), cache), **SMALL)


def test_diffusion_noises_an_image_to_the_level_of_the_degree(diffusion, run, monkeypatch):
    given = diffusion.random(40, run)
    seen = []

    def denoise(starts, labels, sampler):
        seen.append((starts, labels, sampler))
        return starts

    monkeypatch.setattr(diffusion._denoiser, "denoise", denoise)
    diffusion.vary(given, 0.5, run)
    starts, labels, sampler = seen[0]
    low, high = 0.2 ** (1 / 7), 80 ** (1 / 7)
    assert sampler.sigma_max == pytest.approx(((low + high) / 2) ** 7)
    assert sampler.steps == 3
    noise = starts - (given.images.float() / 127.5 - 1) / sampler.sigma_max
    assert noise.std().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(labels, given.origins[:, 0].long())


def test_diffusion_keeps_the_public_class_and_varies_more_by_degree(diffusion, run):
    given = diffusion.random(40, run)
    assert set(given.origins[:, 0].tolist()) == {0, 1}
    near, far = (diffusion.vary(given, degree, run) for degree in (0.2, 1.0))
    assert torch.equal(near.origins, given.origins)
    assert distances(given.images, near.images).mean() < distances(given.images, far.images).mean()


def test_diffusion_varies_images_of_unknown_class_under_the_null_label(diffusion, run, monkeypatch):
    adopted = diffusion.adopt(torch.zeros(3, *SHAPE, dtype=torch.uint8))
    seen = []
    monkeypatch.setattr(diffusion._denoiser, "denoise", lambda starts, labels, sampler: seen.append(labels) or starts)
    diffusion.vary(adopted, 0.5, run)
    assert seen[0].tolist() == [2, 2, 2]


def test_diffusion_is_trained_once_whatever_samples_it(public, run, monkeypatch, diffusion):
    monkeypatch.setattr(type(diffusion), "_trained", lambda *_: pytest.fail("trained again"))
    made("diffusion", public, run, **SMALL | {"sampling_steps": 2, "sigma_min": 0.5})


def test_diffusion_refuses_a_resolution_that_it_does_not_divide():
    plugin = GENERATORS.get("diffusion")
    with pytest.raises(ConfigError, match="do not divide 18 pixels"):
        plugin.check_shape(build(plugin.Config, {}), (1, 18, 18))


def test_composite_changes_generators_below_the_switch(public, run):
    generator = made("composite", public, run, **{"second.name": "nearest", "switch": 0.3})
    first = generator.random(20, run)
    far = generator.vary(first, 0.3, run)
    assert torch.equal(far.origins[:, 0], first.origins[:, 0])  # glyphs keep their character
    near = generator.vary(far, 0.29, run)
    pool = public.batch(range(100)).images
    assert all((pool == image).flatten(1).all(1).any() for image in near.images)
    assert not any((pool == image).flatten(1).all(1).any() for image in far.images)
    assert torch.equal(near.origins, far.origins)


def test_composite_refuses_a_second_generator_that_varies_its_own_images_alone():
    plugin = GENERATORS.get("composite")
    with pytest.raises(ConfigError, match="glyphs varies only its own images"):
        build(plugin.Config, {"second.name": "glyphs"})


def test_composite_hands_its_candidates_on(public, run):
    generator = made("composite", public, run, **{"second.name": "nearest"})
    state = generator.state_dict()
    assert set(state) == {"second.pool"}
    assert isinstance(generator.random(2, run), Candidates)


def test_guidance_away_from_a_label_that_was_never_dropped_is_refused():
    with pytest.raises(ConfigError, match="label_dropout above 0"):
        build(GENERATORS.get("diffusion").Config, {"guidance": 2.0, "label_dropout": 0})

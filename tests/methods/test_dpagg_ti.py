"""DPAgg-TI: its plan, what an inversion depends on and finds, what is added, and what is drawn from the sum."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of
from tiny_pipelines import save_stable_diffusion, save_unconditional
from torch import Tensor
from torch.nn.functional import normalize

from dpbench.contracts.small_sets import bars
from dpbench.core.cache import PublicCache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.methods.cores.inversion.inversion_settings import EMBEDDINGS
from dpbench.methods.cores.inversion.textual_inversion import inverted
from dpbench.methods.dpagg_ti import DPAggTI
from dpbench.models.image_range import to_unit

TINY = {
    "channels": (16,), "patch": 4, "sampling_steps": 6, "public_steps": 150, "public_batch": 32, "public_lr": 4e-3,
    "augmentation": "none", "condition": 4, "inversion_steps": 15,
}  # fmt: skip
CLASSES = ("horizontal", "vertical")
SPEC = DatasetSpec("bars", 1, 16, 400, 100, CLASSES, True)
PUBLIC = DatasetSpec("public-bars", 1, 16, 300, 0, CLASSES, True)
REQUEST = Request(Conditions.balanced(64, 2))


def _method(spec: DatasetSpec = SPEC, **settings: object) -> DPAggTI:
    return DPAggTI(build(DPAggTI.Config, TINY | settings), spec)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> PublicCache:
    """Of public training, which all tests share."""
    return PublicCache(tmp_path_factory.mktemp("public"))


def test_class_vectors_are_trained_on_after_an_interruption(tmp_path):
    """A second `prepare` that finds a checkpoint of the last step ends with the same vectors."""
    made = []
    for attempt in ("first", "second"):
        run = RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path / attempt))
        method = _method(public_steps=20)
        method.prepare(bars(PUBLIC, 300, seed=2), replace(run, checkpoints=Checkpoints(tmp_path / "kept", code="1")))
        made.append(method.model.generator.state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


@pytest.fixture
def prepared(cache):
    """prepared(**settings) -> (the method after `prepare`, its run)."""

    def make(**settings: object) -> tuple[DPAggTI, RunContext]:
        method, run = _method(**settings), RunContext("cpu", torch.Generator().manual_seed(0), cache)
        method.prepare(bars(PUBLIC, 300, seed=2), run)
        method.model.generator.requires_grad_(False)
        return method, run

    return make


def test_plan_is_one_sum_of_unit_vectors_over_all_records():
    (mechanism,) = plan_of(_method(), REQUEST).mechanisms
    assert (mechanism.name, mechanism.clip, mechanism.sampling_rate, mechanism.releases) == (EMBEDDINGS, 1.0, 1.0, 1)
    assert mechanism.noise_multiplier is None


def of_images(method: DPAggTI, images: Tensor) -> Tensor:
    return inverted(method.model.generator, to_unit(images), method.config, torch.Generator().manual_seed(1))


def test_an_inversion_depends_on_its_own_image_alone(prepared, sensitive):
    """Adam's state is one per number, and losses are added, so neither the others nor their number matter."""
    method, _ = prepared()
    images = sensitive.batch(range(20)).images
    others = torch.cat([images[:10], 255 - images[10:]])
    assert torch.equal(of_images(method, images)[:10], of_images(method, others)[:10])
    assert not torch.allclose(of_images(method, images)[10:], of_images(method, others)[10:])


def test_an_inversion_finds_what_an_image_shows(prepared, sensitive):
    method, _ = prepared()
    batch = sensitive.batch(range(100))
    found = of_images(method, batch.images)
    assert torch.allclose(found.norm(dim=1), torch.ones(100), atol=1e-5)
    nearest = (found @ method.model.generator.known.T).argmax(1)
    assert (nearest == batch.labels).float().mean() > 0.85


def test_the_generator_is_not_changed_by_private_images(prepared, vault):
    method, run = prepared(inversion_steps=1)
    before, prompts = copy.deepcopy(method.model.generator.state_dict()), method.model.prompts
    method.fit(vault(plan_of(method, REQUEST), 5.0), run)
    assert not torch.equal(method.model.prompts, prompts)
    assert all(torch.equal(t, before[name]) for name, t in method.model.generator.state_dict().items())


def test_without_noise_the_prompts_are_the_directions_of_the_sums(prepared, vault, sensitive):
    method, run = prepared()
    private = vault(plan_of(method, REQUEST), math.inf)
    method.fit(private, run)
    private.ledger.check_complete()
    batch = sensitive.batch(range(400))
    found = torch.cat([of_images(method, part) for part in batch.images.split(64)])
    sums = torch.stack([found[batch.labels == label].sum(0) for label in (0, 1)])
    assert (method.model.prompts * normalize(sums)).sum(1).min() > 0.98  # with other draws of noise
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (64, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.7
    assert share_horizontal(images[1::2]) < 0.3


def test_the_public_part_does_not_depend_on_the_seed():
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        method = _method(public_steps=2)
        torch.manual_seed(5)  # as the cache does
        run = RunContext("cpu", torch.Generator(), PublicCache(Path()))
        states.append(method.model.generator._trained(bars(PUBLIC, 300, 2), run, torch.Generator().manual_seed(5)))
    assert all(torch.equal(t, states[1][name]) for name, t in states[0].items())


def test_restored_model_samples_the_same_images(prepared):
    method, run = prepared()
    other = _method()
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    assert method.parameters()[0] == 2 * 4
    run.generator.manual_seed(3)
    images = method.sample(REQUEST.conditions, run)
    run.generator.manual_seed(3)
    assert torch.equal(images, other.sample(REQUEST.conditions, run))


def test_a_pipeline_is_prompted_in_place_of_a_generator_of_our_own(vault, run, tmp_path):
    folder = str(save_stable_diffusion(tmp_path / "tiny"))
    settings = {"checkpoint": folder, "guidance": 1.0, "inversion_steps": 2, "sampling_steps": 2}
    method = _method(**settings)
    assert method.track_of(method.config) == "foundation"
    assert list(method.weights_of(method.config)) == ["tiny"]
    method.prepare(None, run)
    private = vault(plan_of(method, REQUEST), 5.0)
    method.fit(private, run)
    private.ledger.check_complete()
    assert method.model.prompts.shape == (2, 12)
    other = _method(**settings)
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    assert torch.equal(other.model.prompts, method.model.prompts)
    assert other.sample(Conditions.balanced(4, 2), run).shape == (4, 1, 16, 16)


def test_a_pipeline_that_cannot_be_prompted_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no cross-attention"):
        _method(checkpoint=str(save_unconditional(tmp_path / "plain")))
    odd = DatasetSpec("odd", 1, 18, 400, 100, None, True)
    with pytest.raises(ConfigError, match="multiple of 4"):
        _method(odd, checkpoint=str(save_stable_diffusion(tmp_path / "tiny")))


def test_public_images_without_classes_are_refused(public, run):
    with pytest.raises(ConfigError, match="'public-bars' has none"):
        _method().prepare(public, run)
    with pytest.raises(ConfigError, match="--public"):
        _method().prepare(None, run)

"""DP-RDM: its plan against the published example, what its queries retrieve, and what it draws from the answers."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.benchmark.configure import configure
from dpbench.contracts.small_sets import bars
from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request
from dpbench.methods.cores.retrieval.principal_components import PrincipalComponents
from dpbench.methods.cores.retrieval.retrieval_diffusion import mean_of_nearest_others, shrunk
from dpbench.methods.cores.retrieval.retrieval_settings import RETRIEVAL
from dpbench.methods.dp_rdm import DPRDM
from dpbench.models.image_range import to_unit
from dpbench.privacy.calibration import calibrate

TINY = {
    "channels": (16,), "patch": 4, "sampling_steps": 6, "public_steps": 150, "public_batch": 32, "public_lr": 4e-3,
    "pool": 300, "augmentation": "none", "components": 8, "public_neighbours": 3, "queries": 20, "rate": 1.0,
    "neighbours": 10, "shrink": False,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(64, 2))
SPEC = DatasetSpec("bars", 1, 16, 400, 100, ("horizontal", "vertical"), True)


def _method(spec: DatasetSpec = SPEC, **settings: object) -> DPRDM:
    return DPRDM(build(DPRDM.Config, TINY | settings), spec)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> PublicCache:
    """Of public training, which all tests share."""
    return PublicCache(tmp_path_factory.mktemp("public"))


@pytest.fixture
def prepared(public, cache):
    """prepared(**settings) -> (the method after `prepare`, its run)."""

    def make(**settings: object) -> tuple[DPRDM, RunContext]:
        method, run = _method(**settings), RunContext("cpu", torch.Generator().manual_seed(0), cache)
        method.prepare(public, run)
        return method, run

    return make


def test_published_constants():
    (paper,) = configure(["dp-rdm"], "mnist", "paper", {})
    c = paper.config
    assert (c.queries, c.rate, c.neighbours, c.clip) == (1000, 0.01, 18, 1.0)
    assert (c.public_neighbours, c.condition_noise, c.guidance, c.sampling_steps) == (4, 0.05, 2.0, 100)
    assert c.channels == tuple(192 * k for k in (1, 2, 3, 5))
    assert c.public_lr == 1e-4


def test_queries_are_counted_and_images_are_not():
    for images in (10, 100_000):
        (mechanism,) = plan_of(_method(queries=7), Request(Conditions.balanced(images, 2))).mechanisms
        assert mechanism.releases == 7


def test_samples_with_fewer_records_than_neighbours_are_refused():
    with pytest.raises(ConfigError, match="has about 20; set fewer neighbours or a higher rate"):
        plan_of(_method(rate=0.1, neighbours=30), REQUEST)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"components": 300}, "at most 256 components"),
        ({"pool": 3}, "cannot give any image 3 neighbours"),
        ({"patch": 5}, "multiple"),
    ],
)
def test_sizes_that_do_not_suit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        plan_of(_method(**settings), REQUEST)


def test_without_noise_the_prompts_are_means_of_the_nearest_of_the_class(prepared, vault, sensitive):
    method, run = prepared()
    queries = method.model.queries.clone()
    method.fit(vault(plan_of(method, REQUEST), math.inf), run)
    batch = sensitive.batch(range(400))
    embedded = method.model.embed(to_unit(batch.images))
    for label in (0, 1):
        own = embedded[batch.labels == label]
        nearest = torch.cdist(queries[:, label], own).topk(10, largest=False).indices
        assert torch.allclose(method.model.prompts[:, label], own[nearest].mean(1), atol=1e-4)


def test_the_noise_of_the_prompts_is_the_planned_one(prepared, vault):
    exact, run = prepared()
    noisy, _ = prepared()
    plan = plan_of(exact, REQUEST)
    exact.fit(vault(plan, math.inf), run)
    noisy.fit(vault(plan, 3.0), run)
    mechanism = calibrate(plan, Budget(3.0, 1e-5))[RETRIEVAL]
    difference = noisy.model.prompts - exact.model.prompts
    assert difference.std().item() == pytest.approx(mechanism.noise_scale_at(1) / 10, rel=0.15)


def test_prompts_are_shrunk_by_the_noise_of_a_mean(prepared, vault):
    plain, run = prepared()
    shrinking, _ = prepared(shrink=True)
    plan = plan_of(plain, REQUEST)
    for method in (plain, shrinking):
        method.fit(vault(plan, 10.0), run)  # the same noise
    deviation = calibrate(plan, Budget(10.0, 1e-5))[RETRIEVAL].noise_scale_at(1) / 10
    assert torch.allclose(shrinking.model.prompts, shrunk(plain.model.prompts, deviation), atol=1e-6)
    assert shrinking.model.prompts.std(0).max() > deviation / 10  # not all of them are the average


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_private_means_are_mixed_with_those_of_public_neighbours(prepared, vault, weight):
    whole, run = prepared()
    mixed, _ = prepared(private_weight=weight)
    public = mixed.model.prompts.clone()
    for method in (whole, mixed):
        method.fit(vault(plan_of(method, REQUEST), math.inf), run)
    assert torch.allclose(mixed.model.prompts, weight * whole.model.prompts + (1 - weight) * public, atol=1e-6)


def test_samples_match_their_class_without_noise(prepared, vault):
    method, run = prepared()
    private = vault(plan_of(method, REQUEST), math.inf)
    method.fit(private, run)
    private.ledger.check_complete()
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (64, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.7
    assert share_horizontal(images[1::2]) < 0.3


def test_restored_model_samples_the_same_images(prepared, vault):
    method, run = prepared()
    method.fit(vault(plan_of(method, REQUEST), 3.0), run)
    other = _method()
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    assert method.parameters()[0] == 20 * 2 * 8
    run.generator.manual_seed(3)
    images = method.sample(REQUEST.conditions, run)
    run.generator.manual_seed(3)
    assert torch.equal(images, other.sample(REQUEST.conditions, run))


def test_the_public_part_depends_on_neither_seed_nor_labels(public):
    labelled = bars(DatasetSpec("public-bars", 1, 16, 300, 0, ("horizontal", "vertical"), True), 300, seed=2)
    states = []
    for seed, images in ((0, public), (1, labelled)):
        torch.manual_seed(seed)
        method = _method(public_steps=2, pool=40)
        torch.manual_seed(5)  # as the cache does
        run = RunContext("cpu", torch.Generator(), PublicCache(Path()))
        states.append(method.model._trained(images, run, torch.Generator().manual_seed(5)))
    assert all(torch.equal(t, states[1][name]) for name, t in states[0].items())


def test_private_records_are_asked_after_prepare_only(vault, run):
    method = _method()
    with pytest.raises(ConfigError, match="--public"):
        method.prepare(None, run)
    with pytest.raises(ConfigError, match="run prepare first"):
        method.fit(vault(plan_of(method, REQUEST), 3.0), run)


def test_components_are_those_of_a_singular_value_decomposition():
    images = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    components = PrincipalComponents((1, 8, 8), 5)
    components.measure(images)
    found, flat = components(images), images.flatten(1).double()
    left, values, _ = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    expected = left[:, :5] * values[:5]
    assert torch.allclose(found.abs(), (expected / expected.square().sum(1).mean().sqrt()).abs().float(), atol=1e-4)
    assert found.square().sum(1).mean().item() == pytest.approx(1, rel=1e-4)
    assert found.mean(0).abs().max() < 1e-5


def test_shrinking_keeps_the_share_of_the_variance_that_is_not_noise():
    draws = torch.Generator().manual_seed(0)
    clean = torch.tensor([0.0, 0.1, 1.0]) * torch.randn(4000, 1, 3, generator=draws) + 2
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=draws)
    kept = (shrunk(noisy, 0.3) - noisy.mean(0)).std(0) / noisy.std(0)
    assert torch.allclose(kept, torch.tensor([[0.0, 0.1, 1 / 1.09]]), atol=0.06)
    assert (shrunk(noisy, 0.3) - clean).square().mean() < 0.5 * (noisy - clean).square().mean()
    assert torch.equal(shrunk(noisy, 0.0), noisy.mean(0) + (noisy - noisy.mean(0)))
    assert torch.equal(shrunk(noisy[:1], 0.3), noisy[:1])


def test_no_image_is_a_neighbour_of_its_own():
    embeddings = torch.tensor([[0.0], [1.0], [3.0], [3.5]])
    assert mean_of_nearest_others(embeddings, torch.arange(4), 2).flatten().tolist() == [2.0, 1.5, 2.25, 2.0]


def test_another_view_of_a_record_is_no_neighbour():
    embeddings, records = torch.tensor([[0.0], [0.1], [1.0], [3.0]]), torch.tensor([5, 5, 1, 2])
    means = mean_of_nearest_others(embeddings, records, 1).flatten().tolist()
    assert means == pytest.approx([1.0, 1.0, 0.1, 1.0])

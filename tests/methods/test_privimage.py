import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of
from scipy.stats import norm

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Batch, Budget, Conditions, DatasetSpec, Request
from dpbench.data.arrays import ArrayDataset
from dpbench.methods.cores.class_embeddings import assigned_class_embeddings
from dpbench.methods.cores.diffusion import diffusion_model
from dpbench.methods.cores.diffusion.diffusion_method import TRAINING, DiffusionMethod
from dpbench.methods.cores.diffusion.diffusion_model import DiffusionModel
from dpbench.methods.cores.public_classes.public_classifier import PublicClassifier
from dpbench.methods.privimage import QUERY, PrivImage
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.plan import Plan

TINY = {
    "channels": (16,), "patch": 4, "classifier_steps": 20, "classifier_batch": 32, "public_steps": 20,
    "public_batch": 32, "public_lr": 3e-3, "augmentation": "none", "selected_steps": 20, "votes": 1, "query_noise": 20,
    "batch": 64, "steps": 8, "lr": 5e-3, "clip": 0.3, "p_mean": 0.0, "micro_batch": 128, "sampling_steps": 5,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(64, 2))
MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)


def _method(spec: DatasetSpec, **settings: object) -> PrivImage:
    return PrivImage(build(PrivImage.Config, TINY | settings), spec)


@pytest.fixture
def labelled(public: ArrayDataset) -> ArrayDataset:
    """Public bars in two classes, numbered in the other order: 0 is vertical, 1 horizontal."""
    spec = DatasetSpec("public-bars", 1, 16, 300, 0, ("upright", "lying"), True)
    return ArrayDataset(spec, public.batch(range(300)).images.numpy(), 1 - np.arange(300) % 2)


def _selected(method: PrivImage, vault, run, monkeypatch: pytest.MonkeyPatch, epsilon: float = math.inf):
    """64 images and labels of a batch on which `fit` trains after its query; nothing is trained."""
    drawn = []
    monkeypatch.setattr(DiffusionModel, "train_publicly", lambda self, draw, *_: drawn.append(draw(64)))
    monkeypatch.setattr(DiffusionMethod, "fit", lambda *_: None)
    method.fit(vault(plan_of(method, REQUEST), epsilon), run)
    return drawn[-1]


def test_plan_is_one_release_of_votes_and_dp_sgd(spec):
    votes, training = plan_of(_method(spec, votes=3), REQUEST).mechanisms
    assert (votes.name, votes.sampling_rate, votes.releases, votes.noise_multiplier) == (QUERY, 1.0, 1, 20)
    assert votes.clip == math.sqrt(3)
    assert (training.sampling_rate, training.releases, training.noise_multiplier) == (64 / 400, 8, None)


def test_matching_takes_one_vote_of_each_record(spec):
    assert plan_of(_method(spec, votes=3, select="match"), REQUEST).mechanisms[0].clip == 1


def test_published_constants():
    c = build(PrivImage.Config, PrivImage.presets["paper"].settings)
    assert c.votes == math.floor(1000 * 0.05 / 10)  # ImageNet, 5%, ten classes
    assert c.classifier_steps == pytest.approx(100 * 1_281_167 / 2048, rel=0.01)
    assert c.selected_steps == pytest.approx(3200 * 0.05 * 1_281_167 / 1024, rel=0.01)
    assert (c.classifier, c.classifier_lr, c.public_steps, c.public_batch, c.public_lr) == (
        "resnet50", 0.01, 0, 1024, 3e-4,
    )  # fmt: skip
    votes, training = PrivImage.plan(c, MNIST, REQUEST).mechanisms
    assert (votes.noise_multiplier, votes.clip) == (50, math.sqrt(5))
    assert training.sampling_rate == 4096 / MNIST.n_train
    assert training.releases == pytest.approx(300 * MNIST.n_train / 4096, rel=1e-3)


def test_small_selects_five_percent_of_omniglot_for_mnist():
    """Eight alphabets have 242 characters; 5% are one per digit."""
    c = build(PrivImage.Config, PrivImage.presets["small/mnist"].settings)
    assert PrivImage.plan(c, MNIST, REQUEST).mechanisms[0].clip == math.sqrt(math.floor(242 * 0.05 / 10))


def test_the_votes_count_in_epsilon(spec):
    """A Gaussian mechanism of multiplier σ has δ(ε) = Φ(1/2σ - εσ) - e^ε Φ(-1/2σ - εσ)."""
    sigma = 2.0
    votes, training = plan_of(_method(spec, query_noise=sigma), REQUEST).mechanisms
    assert votes.events() == [GaussianEvent(sigma, 1.0, 1)]
    delta = norm.cdf(0.5 / sigma - 2 * sigma) - math.exp(2) * norm.cdf(-0.5 / sigma - 2 * sigma)
    with pytest.raises(PrivacyError, match="fixed noise alone"):
        calibrate(plan_of(_method(spec, query_noise=sigma), REQUEST), Budget(1.99, delta))
    with_votes, alone = (calibrate(plan, Budget(3, delta)) for plan in (Plan(votes, training), Plan(training)))
    assert with_votes[TRAINING].noise_multiplier > 1.1 * alone[TRAINING].noise_multiplier


def test_noise_of_the_released_votes_is_the_planned_one(spec, vault):
    """One public README queries with a multiplier of 50 and accounts for 484."""
    method, classifier = _method(spec, votes=4, query_noise=50), PublicClassifier("small", 500)
    exact, noisy = (classifier.histogram(vault(plan_of(method, REQUEST), e), QUERY, 4) for e in (math.inf, 1.0))
    assert exact.sum().item() == pytest.approx(4 * 400)
    assert (noisy - exact).std().item() == pytest.approx(50 * math.sqrt(4), rel=0.1)
    assert plan_of(method, REQUEST).mechanisms[0].events() == [GaussianEvent(50, 1.0, 1)]


def test_a_record_votes_in_the_row_of_its_own_class(spec, sensitive, vault):
    method, classifier = _method(spec, votes=2), PublicClassifier("small", 9)
    counts = classifier.histogram(vault(plan_of(method, REQUEST), math.inf), QUERY, 2)
    batch = sensitive.batch(range(400))
    with torch.no_grad():
        votes = classifier.votes(batch, 2)
    assert votes.norm(dim=1).tolist() == pytest.approx([math.sqrt(2)] * 400)
    assert torch.allclose(counts, torch.stack([votes[batch.labels == k].sum(0) for k in (0, 1)]))


def test_a_record_that_votes_for_everything_moves_the_votes_by_no_more_than_others(spec, vault, monkeypatch):
    method, classifier = _method(spec, votes=2), PublicClassifier("small", 9)
    monkeypatch.setattr(classifier, "votes", lambda batch, _: batch.images.new_full((len(batch), 9), 100).float())
    counts = classifier.histogram(vault(plan_of(method, REQUEST), math.inf), QUERY, 2)
    assert counts.norm(dim=1).tolist() == pytest.approx([200 * math.sqrt(2)] * 2)  # 200 records of norm √2 in a row


def test_selected_images_are_labelled_by_the_private_class_they_resemble(spec, labelled, vault, run, monkeypatch):
    method = _method(spec, public_steps=0)
    method.prepare(labelled, run)
    images, labels = _selected(method, vault, run, monkeypatch, epsilon=10)
    assert set(labels.tolist()) == {0, 1}  # private classes: horizontal, vertical
    assert share_horizontal(images[labels == 0]) == 1
    assert share_horizontal(images[labels == 1]) == 0


@pytest.mark.parametrize("select", ["top", "match"])
def test_class_embeddings_start_as_those_of_the_selected_public_classes(
    spec, labelled, vault, run, monkeypatch, select
):
    method = _method(spec, select=select, public_steps=2)
    method.prepare(labelled, run)
    _selected(method, vault, run, monkeypatch)
    upright, lying = method._prepared.embeddings
    table = method.state_dict()[diffusion_model.LABEL_EMBEDDING]
    assert torch.allclose(table[0], lying, atol=0.1 * (upright - lying).norm())
    assert torch.allclose(table[1], upright, atol=0.1 * (upright - lying).norm())


def test_embeddings_of_assigned_classes_are_averaged_by_weight():
    public = torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    weights = torch.tensor([[30.0, 10.0, 0.0], [0.0, 0.0, 2.0]])
    assert assigned_class_embeddings(public, weights).tolist() == [[0.75, 0.25], [5.0, 5.0]]


@pytest.mark.parametrize("settings", [{}, {"select": "match", "public_steps": 0, "selected_steps": 40}])
def test_samples_match_their_class_without_noise(spec, labelled, vault, run, settings):
    method = _method(spec, **settings)
    method.prepare(labelled, run)
    private = vault(plan_of(method, REQUEST), math.inf)
    method.fit(private, run)
    private.ledger.check_complete()
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (64, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.65
    assert share_horizontal(images[1::2]) < 0.35


def test_the_public_part_is_cached_and_what_follows_the_query_is_not(spec, labelled, vault, run, monkeypatch):
    _method(spec).prepare(labelled, run)
    files = sorted(run.cache.folder.iterdir())
    for owner, name in ((PublicClassifier, "trained"), (DiffusionModel, "pretrained")):
        monkeypatch.setattr(owner, name, lambda *_: pytest.fail("trained again"))
    method = _method(spec, selected_steps=3, steps=1, query_noise=30)
    method.prepare(labelled, run)
    run.cache.close()
    monkeypatch.setattr(DiffusionMethod, "fit", lambda *_: None)
    monkeypatch.setattr(PublicCache, "get", lambda *_: pytest.fail("the cache is used in fit"))
    method.fit(vault(plan_of(method, REQUEST), 10), run)
    assert sorted(run.cache.folder.iterdir()) == files


def test_robust_training_is_for_selected_images_only(spec, labelled, vault, run, monkeypatch):
    radii = []
    steps = diffusion_model.SharpnessAwareSteps
    monkeypatch.setattr(
        diffusion_model, "SharpnessAwareSteps", lambda *given: radii.append((given[2], given[-1])) or steps(*given)
    )
    method = _method(spec, robust=0.05, public_steps=2, selected_steps=3)
    method.prepare(labelled, run)
    monkeypatch.setattr(DiffusionMethod, "fit", lambda *_: None)
    method.fit(vault(plan_of(method, REQUEST), 10), run)
    assert radii == [(3, 0.05)]


def test_data_without_classes_have_one_row_of_votes(labelled, sensitive, run, monkeypatch):
    method = _method(DatasetSpec("plain", 1, 16, 400, 0, None, True), votes=2)
    method.prepare(labelled, run)
    assert method.sample(Conditions(3), run).shape == (3, 1, 16, 16)
    votes = method._prepared.classifier.votes(Batch(sensitive.batch(range(4)).images), 2)
    assert votes.tolist() == [[1, 1]] * 4


def test_unsuitable_public_sources_are_refused(spec, public, labelled, run):
    with pytest.raises(ConfigError, match="--public"):
        _method(spec).prepare(None, run)
    with pytest.raises(ConfigError, match="'public-bars' has no labels"):
        _method(spec).prepare(public, run)
    with pytest.raises(
        ConfigError, match="needs 2 public classes for each of 2 private ones, and 'public-bars' has images of 2"
    ):
        _method(spec, votes=2).prepare(labelled, run)
    three = DatasetSpec("three", 1, 16, 400, 0, ("a", "b", "c"), True)
    with pytest.raises(ConfigError, match="needs 1 public classes for each of 3"):
        _method(three, votes=1).prepare(labelled, run)
    _method(three, select="match").prepare(labelled, run)  # private classes share public ones
    images = public.batch(range(300)).images.numpy()
    half_empty = ArrayDataset(replace(labelled.spec, classes=tuple("abcd")), images, np.arange(300) % 2)
    with pytest.raises(ConfigError, match="'public-bars' has images of 2"):
        _method(spec, votes=2).prepare(half_empty, run)


def test_private_phase_without_the_public_part_says_what_to_do(spec, vault, run):
    method = _method(spec)
    with pytest.raises(ConfigError, match="--prepare"):
        method.fit(vault(plan_of(method, REQUEST), 10), run)

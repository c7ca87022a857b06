import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of
from torch import Tensor, nn

from dpbench.core.config import build
from dpbench.core.specs import Batch, Conditions, DatasetSpec, Request
from dpbench.methods.dp_gan import DISCRIMINATOR, DPGAN
from dpbench.models.frozen import frozen
from dpbench.models.image_range import to_unit
from dpbench.training.part import Part

TINY = {
    "generator_channels": (16,), "discriminator_channels": (16,), "embedding": 8, "batch": 64, "steps": 100,
    "generator_batch": 64, "ema": 0.9, "lr": 5e-3, "generator_lr": 5e-3,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(128, 2))
MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)


def _method(spec: DatasetSpec, **settings: object) -> DPGAN:
    return DPGAN(build(DPGAN.Config, TINY | settings), spec)


def test_plan_is_one_dp_sgd_mechanism(spec):
    (mechanism,) = plan_of(_method(spec), REQUEST).mechanisms
    assert mechanism.name == DISCRIMINATOR
    assert (mechanism.sampling_rate, mechanism.releases, mechanism.noise_multiplier) == (64 / 400, 100, None)


def test_published_plan():
    """150 epochs of MNIST in batches of 4096, clip 0.001; five steps of the discriminator per step of the generator."""
    config = build(DPGAN.Config, DPGAN.presets["paper"].settings)
    (mechanism,) = DPGAN.plan(config, MNIST, REQUEST).mechanisms
    assert mechanism.sampling_rate == 4096 / 60_000
    assert mechanism.releases == 150 * 60_000 // 4096
    assert mechanism.clip == 1e-3
    assert (config.discriminator_steps, config.lr, config.generator_lr) == (5, 5e-4, 2e-4)


class _Scores(nn.Module):
    """Scores that a test chooses: `real` where pixels are above zero, `fake` elsewhere."""

    def __init__(self, real: float, fake: float):
        super().__init__()
        self.scores = nn.Parameter(torch.tensor([real, fake]))
        self.labels: list[Tensor] = []

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        self.labels.append(labels)
        return torch.where(images.mean((1, 2, 3)) > 0, self.scores[0], self.scores[1])


@pytest.mark.parametrize(("real", "fake", "loss"), [(0.25, 0.5, 0.75 + 1.5), (2.0, 0.5, 1.5), (0.25, -1.5, 0.75)])
def test_a_record_is_paired_with_one_generated_image_inside_its_loss(spec, monkeypatch, real, fake, loss):
    method = _method(spec)
    monkeypatch.setattr(method.model, "fakes", lambda network, labels, draws: -torch.ones(len(labels), 1, 16, 16))
    white = Batch(torch.full((5, 1, 16, 16), 255, dtype=torch.uint8), torch.tensor([0, 1, 0, 1, 1]))
    network = _Scores(real, fake)
    values = method.loss(network, white, torch.Generator().manual_seed(0))
    assert values.tolist() == pytest.approx([loss] * 5)
    assert torch.equal(network.labels[0], white.labels)


def test_generated_images_have_labels_of_their_own(spec):
    """Labels of generated images are drawn uniformly; the private batch's labels would be a leak into the generator."""
    method, network = _method(spec), _Scores(0.0, 0.0)
    ones = Batch(torch.zeros(500, 1, 16, 16, dtype=torch.uint8), torch.ones(500, dtype=torch.long))
    method.loss(network, ones, torch.Generator().manual_seed(0))
    assert network.labels[1].float().mean() == pytest.approx(0.5, abs=0.1)


def test_generated_images_come_from_the_draws_of_the_loss(spec):
    method = _method(spec)
    labels = torch.tensor([0, 1, 1])
    first, again, other = (
        method.model.fakes(method.model.generator, labels, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_a_generated_image_does_not_depend_on_the_others(spec):
    method = _method(spec)
    method.model.generator.embedding.weight.data.mul_(3)
    zeros = method.model.fakes(method.model.generator, torch.tensor([0, 0, 0]), torch.Generator().manual_seed(0))
    mixed = method.model.fakes(method.model.generator, torch.tensor([0, 1, 1]), torch.Generator().manual_seed(0))
    assert torch.allclose(zeros[0], mixed[0], atol=1e-6)


def test_the_generator_learns_without_changing_the_discriminator(spec):
    gan = _method(spec).model
    discriminator, labels = gan.new_discriminator(), torch.tensor([0, 1])
    images = gan.learnable(gan.generator, labels, torch.Generator().manual_seed(0))
    frozen(discriminator, images, labels).sum().backward()
    assert all(p.grad is None for p in discriminator.parameters())
    assert all(p.grad is not None for p in gan.generator.parameters())


def test_the_discriminator_takes_several_steps_per_step_of_the_generator(spec, vault, run, monkeypatch):
    method, turns, step = _method(spec, steps=10, discriminator_steps=5), [], Part.step

    def noted(part: Part) -> bool:
        took = step(part)
        turns.append(part.steps) if took else None
        return took

    monkeypatch.setattr(Part, "step", noted)
    method.fit(vault(plan_of(method, REQUEST), 5), run)
    assert turns == [10, 10, 10, 10, 10, 2, 10, 10, 10, 10, 10, 2]


def test_samples_match_their_class_without_noise(spec, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    method.fit(private, run)
    private.ledger.check_complete()
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (128, 1, 16, 16)
    assert images.dtype == torch.uint8
    assert share_horizontal(images[0::2]) > 0.65
    assert share_horizontal(images[1::2]) < 0.35


def test_batch_statistics_are_those_of_the_final_weights(spec, run):
    gan = _method(spec).model
    norm = gan.generator.norm
    norm.running_mean.fill_(100.0)
    gan.settle(run)
    seen = []
    norm.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    gan.fakes(gan.generator, gan.random_labels(500, run.generator, "cpu"), run.generator)
    assert torch.allclose(norm.running_mean, seen[0].mean((0, 2, 3)), atol=0.1)
    assert norm.momentum == 0.1


def test_restored_model_samples_the_same_images(spec, vault, run):
    method, other = _method(spec, steps=2), _method(spec)
    method.fit(vault(plan_of(method, REQUEST), 5), run)
    other.load_state_dict(method.state_dict())
    run.generator.manual_seed(3)
    images = method.sample(REQUEST.conditions, run)
    run.generator.manual_seed(3)
    assert torch.equal(images, other.sample(REQUEST.conditions, run))


def test_unlabelled_data_is_supported(run):
    method = _method(DatasetSpec("plain", 1, 16, 400, 0, None, True))
    images, labels = method.model.real(Batch(torch.zeros(3, 1, 16, 16, dtype=torch.uint8), None))
    assert torch.equal(images, to_unit(torch.zeros(3, 1, 16, 16)))
    assert labels.tolist() == [0, 0, 0]
    assert method.sample(Conditions(5), run).shape == (5, 1, 16, 16)

import math
from dataclasses import replace

import pytest
import torch
from diffusers import EDMEulerScheduler
from torch import nn

from dpbench.core.errors import ConfigError
from dpbench.models.edm import Denoiser, NoiseConfig, SamplerConfig
from dpbench.models.unet import UNet, UNetConfig

SHAPE = (1, 4, 4)
D = 0.5  # sigma_data


class Recorder(nn.Module):
    """A network that records its inputs and returns a fixed multiple of x."""

    def forward(self, x, noise_level, labels):
        self.x, self.noise_level, self.labels = x, noise_level, labels
        return 3 * x


class Gaussian(nn.Module):
    """F of the ideal denoiser D(x; σ) = (s² x + σ² μ) / (s² + σ²) for data N(μ, s²) with one mean μ per label."""

    def __init__(self, means: list[float], std: float):
        super().__init__()
        self.means, self.std = torch.tensor(means), std

    def forward(self, x, noise_level, labels):
        sigma, mean = (4 * noise_level).exp().reshape(-1, 1, 1, 1), self.means[labels].reshape(-1, 1, 1, 1)
        x = x * (sigma**2 + D**2).sqrt()  # undoes c_in
        ideal = (self.std**2 * x + sigma**2 * mean) / (self.std**2 + sigma**2)
        return (ideal - D**2 / (sigma**2 + D**2) * x) * (sigma**2 + D**2).sqrt() / (sigma * D)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_preconditioning_matches_the_edm_paper():
    network = Recorder()
    x, sigma, labels = torch.randn(3, *SHAPE), torch.tensor([0.01, 1.0, 50.0]), torch.tensor([0, 1, 2])
    denoised = Denoiser(network, SHAPE, 2, D)(x, sigma, labels)
    for i, s in enumerate(sigma.tolist()):
        c_in, c_skip, c_out = 1 / math.hypot(s, D), D**2 / (s**2 + D**2), s * D / math.hypot(s, D)
        assert torch.allclose(network.x[i], c_in * x[i])
        assert network.noise_level[i].item() == pytest.approx(math.log(s) / 4, abs=1e-6)
        assert torch.allclose(denoised[i], c_skip * x[i] + c_out * 3 * c_in * x[i], atol=1e-6)
    assert torch.equal(network.labels, labels)


def test_loss_is_the_weighted_squared_error_per_row():
    images, labels = torch.rand(5, *SHAPE) * 2 - 1, torch.zeros(5, dtype=torch.long)
    model = Denoiser(Recorder(), SHAPE, 2, D)
    losses = model.loss(images, labels, _generator(), NoiseConfig(-0.5, 0.7))
    generator = _generator()
    sigma = (-0.5 + 0.7 * torch.randn(5, generator=generator)).exp()
    noise = torch.randn(5, *SHAPE, generator=generator)
    for i, s in enumerate(sigma):
        denoised = model(images[i : i + 1] + s * noise[i], s[None], labels[:1])
        expected = (s**2 + D**2) / (s * D) ** 2 * (denoised - images[i]).square().mean()
        assert losses[i].item() == pytest.approx(expected.item(), rel=1e-4)


def test_label_dropout_has_the_configured_rate():
    network = Recorder()
    images, labels = torch.zeros(4000, *SHAPE), torch.zeros(4000, dtype=torch.long)
    Denoiser(network, SHAPE, 2, D).loss(images, labels, _generator(), NoiseConfig(), label_dropout=0.3)
    assert set(network.labels.tolist()) == {0, 2}
    assert (network.labels == 2).float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_dropout_hides_whole_captions():
    network, words = Recorder(), torch.ones(4000, 3, 2)
    Denoiser(network, SHAPE, 0, D).loss(torch.zeros(4000, *SHAPE), words, _generator(), NoiseConfig(), 0.3)
    assert (network.labels == network.labels[:, :1, :1]).all()
    assert (network.labels[:, 0, 0] == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    "sampler",
    [
        SamplerConfig("ddim", 100),
        SamplerConfig("ddim", 400, churn=40),
        SamplerConfig("heun", 99),
        SamplerConfig("heun", 199, churn=20),
        SamplerConfig("dpm-solver", 25),
    ],
)
def test_samplers_recover_gaussians_and_points(sampler):
    labels = torch.tensor([0, 1]).repeat(300)
    images = Denoiser(Gaussian([-0.5, 0.7], 0.3), SHAPE, 2, D).sample(labels, _generator(), sampler)
    for label, mean in enumerate((-0.5, 0.7)):
        assert images[labels == label].mean().item() == pytest.approx(mean, abs=0.02)
        assert images[labels == label].std().item() == pytest.approx(0.3, abs=0.02)
    points = Denoiser(Gaussian([-0.5, 0.7], 0.0), SHAPE, 2, D).sample(labels[:2], _generator(), sampler)
    assert torch.allclose(points, torch.tensor([-0.5, 0.7]).reshape(2, 1, 1, 1).expand(2, *SHAPE), atol=1e-3)


@pytest.mark.parametrize(
    "sampler",
    [
        SamplerConfig("ddim", 8, churn=4, guidance=2),
        SamplerConfig("heun", 9, churn=4),
        SamplerConfig("dpm-solver", 8),
    ],
)
def test_samples_do_not_depend_on_batch_size(sampler):
    model = Denoiser(UNet((1, 8, 8), 3, UNetConfig((8, 16))), (1, 8, 8), 2, D)
    labels = torch.tensor([0, 1, 1, 0, 1])
    together, apart = (model.sample(labels, _generator(), sampler, batch) for batch in (5, 2))
    assert torch.allclose(together, apart, atol=1e-4)
    assert not torch.allclose(together[0], together[3], atol=0.1)


@pytest.mark.parametrize("churn", [0.0, 30.0])
def test_euler_steps_match_the_scheduler_of_diffusers(churn):
    """Without fresh noise the samplers agree; with it above all noise levels only, churn changes nothing."""
    model, labels = Denoiser(Gaussian([-0.5, 0.7], 0.3), SHAPE, 2, D), torch.tensor([0, 1, 1])
    starts = torch.randn(3, *SHAPE, generator=_generator())
    schedule = EDMEulerScheduler(sigma_min=0.01, sigma_max=80.0, sigma_data=D)
    schedule.set_timesteps(12)
    x = 80 * starts
    for c_noise in schedule.timesteps:
        scaled = schedule.scale_model_input(x, c_noise)
        x = schedule.step(model.network(scaled, c_noise.expand(3), labels), c_noise, x).prev_sample
    sampler = SamplerConfig("ddim", 12, sigma_min=0.01, churn=churn, churn_range=(100.0, 200.0))
    assert torch.allclose(model.denoise(starts, labels, sampler, seeds=[1, 2, 3]), x, atol=1e-4)


def _levels(sampler: SamplerConfig) -> list[float]:
    """The noise levels at which the network is evaluated."""
    network, levels = Recorder(), []
    network.register_forward_hook(lambda _, inputs, out: levels.append(math.exp(4 * inputs[1][0].item())))
    Denoiser(network, SHAPE, 0, D).sample(torch.zeros(1).long(), _generator(), sampler, batch=1)
    return levels


def test_network_is_evaluated_after_the_fresh_noise():
    """σ = 16, 1 with ρ = 7 and S_churn / N = 0.25: within the range of churn, the level is σ · 1.25."""
    euler = SamplerConfig("ddim", 2, sigma_min=1, sigma_max=16, churn=0.5, churn_range=(0.5, 8.0))
    assert _levels(euler) == pytest.approx([16, 1.25], rel=1e-4)
    heun = replace(euler, solver="heun", steps=3, churn_range=(0.5, 20.0))
    assert _levels(heun) == pytest.approx([20, 1, 1.25], rel=1e-4)  # no correction at the end
    assert _levels(replace(euler, churn=100.0)) == pytest.approx([16, math.sqrt(2)], rel=1e-4)  # γ is at most √2 - 1


def test_one_step_of_churn_follows_the_algorithm():
    """x̂ = x + √(σ̂² - σ²) S_noise ε, then x = D(x̂; σ̂), because the next level is 0."""
    model, labels = Denoiser(Gaussian([0.0], 0.3), SHAPE, 0, D), torch.zeros(1, dtype=torch.long)
    starts = torch.randn(1, *SHAPE, generator=_generator())
    sampler = SamplerConfig("ddim", 1, sigma_max=2, churn=0.25, churn_noise=1.1)
    fresh = torch.randn(SHAPE, generator=_generator(7))
    churned = 2 * starts + math.sqrt(2.5**2 - 2**2) * 1.1 * fresh
    expected = model(churned, torch.tensor([2.5]), labels)
    assert torch.allclose(model.denoise(starts, labels, sampler, seeds=[7]), expected, atol=1e-5)


def test_second_order_correction_needs_fewer_evaluations():
    """The probability flow of N(0, s²) scales the start by s / √(s² + σ²)."""
    model, labels = Denoiser(Gaussian([0.0], 0.3), SHAPE, 0, D), torch.zeros(4, dtype=torch.long)
    starts = torch.randn(4, *SHAPE, generator=_generator())
    exact = 80 * starts * 0.3 / math.hypot(0.3, 80)
    euler, heun = (model.denoise(starts, labels, SamplerConfig(solver, 81)) for solver in ("ddim", "heun"))
    assert (heun - exact).abs().max() < 0.5 * (euler - exact).abs().max()


def test_churn_draws_fresh_noise():
    model, labels = Denoiser(Gaussian([0.0], 0.3), SHAPE, 0, D), torch.zeros(2, dtype=torch.long)
    plain, churned = (model.sample(labels, _generator(), SamplerConfig("ddim", 20, churn=c)) for c in (0, 10))
    assert not torch.allclose(plain, churned, atol=0.05)


def test_guidance_extrapolates_from_the_null_label():
    """With points at 0.2 (label 0) and 0 (null), guided sampling gives a point at w · 0.2."""
    model = Denoiser(Gaussian([0.2, 0.0], 0.0), SHAPE, 1, D)
    images = model.sample(torch.zeros(3, dtype=torch.long), _generator(), SamplerConfig("ddim", 30, guidance=3))
    assert torch.allclose(images, torch.full_like(images, 0.6), atol=1e-3)


@pytest.mark.parametrize(("label", "rows"), [(0, 6), (1, 3)])
def test_guidance_evaluates_the_null_label_once(label, rows):
    model, sizes = Denoiser(Gaussian([0.2, 0.0], 0.0), SHAPE, 1, D), []
    model.network.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    model.sample(torch.full((3,), label), _generator(), SamplerConfig("ddim", 4, guidance=3))
    assert max(sizes) == rows


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)])
@pytest.mark.parametrize("patch", [1, 2])
def test_network_keeps_the_image_shape(shape, patch):
    network = UNet(shape, 1, UNetConfig((8, 16), attention=1, patch=patch))
    assert network(torch.randn(2, *shape), torch.zeros(2), torch.zeros(2, dtype=torch.long)).shape == (2, *shape)


def test_trained_layers_have_known_types_and_batch_first_inputs():
    network = UNet((1, 8, 8), 3, UNetConfig((8, 16), attention=1, patch=2))
    rows = {}
    for name, layer in network.named_modules():
        if list(layer.parameters(recurse=False)):
            assert type(layer) in (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.Embedding)
            layer.register_forward_hook(
                lambda _, inputs, out, name=name: rows.update({name: (len(inputs[0]), len(out))})
            )
    network(torch.randn(5, 1, 8, 8), torch.zeros(5), torch.zeros(5, dtype=torch.long))
    assert set(rows.values()) == {(5, 5)}


def test_checkpointing_does_not_change_gradients():
    plain, frugal = (UNet((1, 8, 8), 1, UNetConfig((8, 16), checkpointing=c)) for c in (False, True))
    frugal.load_state_dict(plain.state_dict())
    x, level, labels = torch.randn(2, 1, 8, 8), torch.randn(2), torch.zeros(2, dtype=torch.long)
    for network in (plain, frugal):
        network.train()(x, level, labels).square().sum().backward()
    for a, b in zip(plain.parameters(), frugal.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"channels": (8, 16, 16), "patch": 2}, "patch 2 and 3 levels do not divide 28 pixels"),
        ({"channels": (10, 16)}, "multiples of 8"),
        ({"channels": (8, 16), "attention": 3}, "attention between 0 and the 2 levels"),
        ({"patch": 0}, "patch and layers must be at least 1"),
    ],
)
def test_invalid_sizes_raise_an_error(sizes, message):
    with pytest.raises(ConfigError, match=message):
        UNet((1, 28, 28), 1, UNetConfig(**sizes))


class Copy(nn.Module):
    """F for which D returns the conditioning image for any x."""

    def forward(self, x, noise_level, labels):
        sigma = (4 * noise_level).exp().reshape(-1, 1, 1, 1)
        x, given = x.chunk(2, dim=1)
        x = x * (sigma**2 + D**2).sqrt()
        return (given - D**2 / (sigma**2 + D**2) * x) * (sigma**2 + D**2).sqrt() / (sigma * D)


@pytest.mark.parametrize("guidance", [1, 2])
def test_conditioning_image_reaches_the_network_unscaled(guidance):
    given, labels = torch.rand(5, 1, 6, 6) * 2 - 1, torch.zeros(5, dtype=torch.long)
    model = Denoiser(Copy(), SHAPE, 1, D)
    starts = torch.randn(5, 1, 6, 6, generator=_generator())
    images = model.denoise(starts, labels, SamplerConfig("dpm-solver", 4, guidance=guidance), given, batch=2)
    assert torch.allclose(images, given, atol=1e-3)
    loss = model.loss(given, labels, _generator(), NoiseConfig(), conditioning=given)
    assert torch.allclose(loss, torch.zeros(5), atol=1e-6)


def test_conditioning_channels_are_input_only():
    network = UNet((3, 8, 8), 1, UNetConfig((8, 16), patch=2), conditioning_channels=1)
    out = network(torch.randn(2, 4, 8, 8), torch.zeros(2), torch.zeros(2, dtype=torch.long))
    assert out.shape == (2, 3, 8, 8)


def test_first_noise_level_is_sigma_max():
    network = Recorder()
    levels = []
    network.register_forward_hook(lambda _, inputs, out: levels.append(inputs[1][0].item()))
    Denoiser(network, SHAPE, 0, D).sample(torch.zeros(1).long(), _generator(), SamplerConfig(sigma_max=7, steps=3))
    assert max(levels) == pytest.approx(math.log(7) / 4)

import math

import pytest
import torch
from torch import nn

from dpbench.models.ddpm import DDPM, DDIMConfig, latent_diffusion_schedule


class Exact(nn.Module):
    """The best prediction where every x0 is `mean[label]`; the null label predicts the mean of 0."""

    def __init__(self, prediction: str):
        super().__init__()
        self.null = 2
        self.prediction = prediction
        self.mean = torch.tensor([-1.0, 2.0, 0.0])
        self.labels: list[torch.Tensor] = []

    def forward(self, x, time, labels):
        self.labels.append(labels)
        kept = latent_diffusion_schedule("epsilon").alphas_cumprod[torch.as_tensor(time)].reshape(-1, 1, 1, 1)
        x0 = self.mean[labels].reshape(-1, 1, 1, 1).expand(x.shape)
        epsilon = (x - kept.sqrt() * x0) / (1 - kept).sqrt()
        return epsilon if self.prediction == "epsilon" else kept.sqrt() * epsilon - (1 - kept).sqrt() * x0


def x0(labels):
    return torch.tensor([-1.0, 2.0])[labels].reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_loss_of_the_exact_prediction_is_zero(prediction):
    labels = torch.arange(50) % 2
    network = Exact(prediction)
    losses = DDPM(latent_diffusion_schedule(prediction)).loss(network, x0(labels), labels, torch.Generator(), 0)
    assert losses.shape == (50,)
    assert losses.max() < 1e-4
    half = DDPM(latent_diffusion_schedule(prediction)).loss(network, x0(labels), labels, torch.Generator(), 0.5)
    assert 0.3 < (network.labels[-1] == network.null).float().mean() < 0.7
    assert ((half > 1e-4) == (network.labels[-1] == network.null)).all()


def test_dropout_hides_whole_captions():
    class Seen(nn.Module):
        null = 0

        def forward(self, x, time, y):
            self.y = y
            return x

    network, words = Seen(), torch.ones(4000, 3, 2)
    process = DDPM(latent_diffusion_schedule("epsilon"))
    process.loss(network, torch.zeros(4000, 1, 1, 1), words, torch.Generator().manual_seed(0), 0.3)
    assert (network.y == network.y[:, :1, :1]).all()
    assert (network.y[:, 0, 0] == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_samples_of_the_exact_prediction_are_exact(prediction, eta):
    labels = torch.tensor([0, 1, 1])
    starts = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    process, config = DDPM(latent_diffusion_schedule(prediction)), DDIMConfig(steps=7, eta=eta)
    made = process.denoise(Exact(prediction), starts, labels, config, [1, 2, 3])
    torch.testing.assert_close(made, x0(labels), atol=1e-3, rtol=0)


def test_guidance_goes_away_from_the_null_label():
    made = DDPM(latent_diffusion_schedule("v_prediction")).denoise(
        Exact("v_prediction"), torch.zeros(1, 1, 4, 4), torch.tensor([1]), DDIMConfig(10, 0.0, 3.0), [0]
    )
    torch.testing.assert_close(made, torch.full((1, 1, 4, 4), 6.0), atol=1e-2, rtol=0)  # 0 + 3 · (2 - 0)


def test_a_sample_does_not_depend_on_the_others():
    labels, starts = torch.tensor([0, 1]), torch.randn(2, 1, 4, 4)
    network = Exact("epsilon")
    network.mean = torch.tensor([0.0, 0.0, 0.0])
    process, config = DDPM(latent_diffusion_schedule("epsilon")), DDIMConfig(5, 1.0, last_time=300)
    both = process.denoise(network, starts, labels, config, [1, 2])
    alone = process.denoise(network, starts[1:], labels[1:], config, [2])
    torch.testing.assert_close(both[1:], alone)


@pytest.mark.parametrize(("last", "steps"), [(250, 8), (299, 8), (300, 7)])
def test_sampling_stops_at_the_last_time_step(last, steps):
    """Of the time steps 999, 899, ... 99, it takes those that are not below the last one."""
    network = Exact("epsilon")
    DDPM(latent_diffusion_schedule("epsilon")).denoise(
        network, torch.zeros(1, 1, 4, 4), torch.tensor([0]), DDIMConfig(10, 0.0, last_time=last), [0]
    )
    assert len(network.labels) == steps


def test_schedule_is_that_of_latent_diffusion():
    """β is linear in its square root: the product of 1 - β is about exp(-(a² + ab + b²) · 1000 / 3)."""
    a, b = math.sqrt(0.0015), math.sqrt(0.0155)
    schedule = latent_diffusion_schedule("epsilon")
    assert schedule.betas[0].item() == pytest.approx(0.0015)
    assert schedule.betas[500].item() == pytest.approx(((a + b) / 2) ** 2, rel=0.01)
    assert math.log(schedule.alphas_cumprod[-1].item()) == pytest.approx(-(a * a + a * b + b * b) * 1000 / 3, rel=0.01)


def test_biased_time_steps_are_noisier():
    """The density is proportional to t, so the mean is 2/3 of the largest step, and 1/4 lie in the first half."""
    seen = []

    class Watching(Exact):
        def forward(self, x, time, labels):
            seen.append(time)
            return super().forward(x, time, labels)

    labels = torch.zeros(4000, dtype=torch.long)
    process = DDPM(latent_diffusion_schedule("epsilon"), time_bias=2.0)
    process.loss(Watching("epsilon"), torch.zeros(4000, 1, 1, 1), labels, torch.Generator().manual_seed(0), 0.0)
    assert seen[0].float().mean().item() == pytest.approx(2000 / 3, rel=0.03)
    assert (seen[0] < 500).float().mean().item() == pytest.approx(0.25, abs=0.03)

import pytest
import torch
from tiny_pipelines import kl_autoencoder as colour_autoencoder
from tiny_pipelines import vq_model

from dpbench.models.autoencoder import Autoencoder, kl_autoencoder


@pytest.fixture
def model() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(kl_autoencoder(1, 3, (4, 8)), 1)


def test_measured_latents_are_standardised(model):
    images = torch.rand(20, 1, 16, 16) * 2 - 1
    plain = model.encode(images)
    for _ in range(2):  # a second measurement changes nothing
        model.measure(images)
        latents = model.encode(images)
        assert latents.shape == (20, 3, 8, 8)
        torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(model.decode(latents), model.network.decode(plain).sample, atol=1e-4, rtol=1e-3)


def test_images_are_encoded_a_few_at_a_time(model, monkeypatch):
    images, sizes, encoded = torch.rand(7, 1, 16, 16), [], model.network.encode
    with torch.no_grad():
        at_once = model.encode(images)
        monkeypatch.setattr(model.network, "encode", lambda x: sizes.append(len(x)) or encoded(x))
        monkeypatch.setattr("dpbench.models.autoencoder.ENCODED", 3 * 16 * 16 + 5)
        torch.testing.assert_close(model.encode(images), at_once)
        monkeypatch.setattr("dpbench.models.autoencoder.ENCODED", 1)
        assert model.encode(images[:2]).shape == at_once[:2].shape
    assert sizes == [3, 3, 1, 1, 1]


def test_training_reduces_the_error_of_reconstructions(model):
    images = torch.linspace(-1, 1, 16).expand(4, 1, 16, 16)
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    before = model.loss(images, 0.0).item()
    for _ in range(8):
        optimizer.zero_grad()
        model.loss(images, 1e-6).backward()
        optimizer.step()
    assert model.loss(images, 0.0).item() < 0.8 * before


@pytest.mark.parametrize("make", [colour_autoencoder, vq_model])
def test_grey_images_pass_through_a_network_for_colour(make):
    torch.manual_seed(0)
    network, images = make(), torch.rand(2, 1, 16, 16)
    grey, colour = Autoencoder(network, 1), Autoencoder(network, 3)
    with torch.no_grad():
        latents = grey.encode(images)
        torch.testing.assert_close(latents, colour.encode(images.expand(-1, 3, -1, -1)))
        torch.testing.assert_close(grey.decode(latents), colour.decode(latents).mean(1, keepdim=True))

import math

import pytest
import torch

from dpbench.core.errors import ConfigError
from dpbench.models.gan_config import GANConfig
from dpbench.models.gan_discriminator import ResNetDiscriminator
from dpbench.models.gan_generator import ResNetGenerator
from dpbench.privacy.gradients.layer_gradients import has_rule
from dpbench.privacy.gradients.row_by_row import users

SMALL = {
    "code": 7, "embedding": 4, "generator_channels": (8, 12), "discriminator_channels": (8, 12, 12), "pooling": "mean",
    "halvings": 2, "patch": 2, "attention": False, "spectral_norm": False,
}  # fmt: skip
SHAPE = (3, 16, 16)


def _config(**settings: object) -> GANConfig:
    return GANConfig(**SMALL | settings)


def _made(network: ResNetGenerator, labels: list[int]) -> torch.Tensor:
    code = torch.randn(len(labels), SMALL["code"], generator=torch.Generator().manual_seed(0))
    return network(code, torch.tensor(labels))


@pytest.mark.parametrize("published", [False, True])
def test_images_have_the_declared_shape_and_range(published):
    torch.manual_seed(0)
    images = _made(ResNetGenerator(SHAPE, 2, _config(attention=published, spectral_norm=published)), [0, 1, 1])
    assert images.shape == (3, *SHAPE)
    assert images.abs().max() <= 1
    assert images.std() > 0.05


def test_every_number_of_the_code_is_used():
    torch.manual_seed(0)
    network = ResNetGenerator(SHAPE, 2, _config()).eval()
    code = torch.randn(1, 7, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(code, torch.zeros(1, dtype=torch.long)).square().sum(), code)
    assert gradient.abs().min() > 0


def test_the_label_changes_the_image():
    torch.manual_seed(0)
    network = ResNetGenerator(SHAPE, 2, _config()).eval()
    assert not torch.allclose(_made(network, [0]), _made(network, [1]), atol=1e-2)


def test_attention_starts_as_the_identity():
    torch.manual_seed(0)
    network = ResNetGenerator(SHAPE, 1, _config(attention=True)).eval()
    images = _made(network, [0, 0])
    network.attention = None
    assert torch.equal(images, _made(network, [0, 0]))


def test_spectral_norm_bounds_every_layer():
    torch.manual_seed(0)
    network = ResNetGenerator(SHAPE, 1, _config(spectral_norm=True))
    for _ in range(20):
        _made(network, [0, 0])
    with torch.no_grad():
        for layer in (network.start, network.blocks[0].first, network.end):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


def test_a_score_depends_on_its_own_image_and_label():
    torch.manual_seed(0)
    network = ResNetDiscriminator(SHAPE, 3, _config())
    images, labels = torch.randn(4, *SHAPE), torch.tensor([0, 1, 2, 0])
    scores = network(images, labels)
    assert scores.shape == (4,)
    assert torch.allclose(scores[1:2], network(images[1:2], labels[1:2]), atol=1e-5)
    assert not torch.allclose(scores[1], network(images[1:2], labels[2:3]))


def test_every_layer_of_the_discriminator_has_a_rule_for_gradients_per_record():
    used = users(ResNetDiscriminator(SHAPE, 3, _config()))
    assert len(used) > 10
    assert all(has_rule(module, names) for module, names in used.items())


def test_scores_start_within_a_few_margins_of_the_hinge_loss():
    torch.manual_seed(0)
    network = ResNetDiscriminator((1, 32, 32), 10, _config(discriminator_channels=(32, 32), halvings=1, patch=4))
    scores = network(torch.rand(64, 1, 32, 32) * 2 - 1, torch.arange(64) % 10)
    assert scores.abs().mean() < 4


def test_features_are_averaged_or_added_up_over_places():
    torch.manual_seed(0)
    averaged, added = (ResNetDiscriminator(SHAPE, 1, _config(pooling=pooling)) for pooling in ("mean", "sum"))
    added.load_state_dict(averaged.state_dict())
    images, labels = torch.randn(2, *SHAPE), torch.zeros(2, dtype=torch.long)
    assert torch.allclose(added(images, labels), 4 * averaged(images, labels), rtol=1e-4)  # over 2 × 2 places


def test_published_networks_have_the_published_size():
    """BigGAN's shape for 32 pixels with 4×60 and 2×80 channels."""
    config = GANConfig(60, 128, (240,) * 3, (160,) * 4, "sum", 2, 1, True, True)
    generator, discriminator = ResNetGenerator((1, 32, 32), 10, config), ResNetDiscriminator((1, 32, 32), 10, config)
    assert generator.side == 4
    assert sum(generator.chunks) == 60
    assert sum(math.prod(p.shape) for p in generator.parameters()) == pytest.approx(3.8e6, rel=0.1)
    assert sum(math.prod(p.shape) for p in discriminator.parameters()) == pytest.approx(1.85e6, rel=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator_channels": ()}, "at least one block"),
        ({"discriminator_channels": (6,)}, "multiples of 4"),
        ({"halvings": 4}, "at most the 3 blocks"),
        ({"generator_channels": (8,), "attention": True}, "at least two blocks"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        _config(**settings)


def test_a_resolution_that_cannot_be_halved_so_often_is_refused():
    with pytest.raises(ConfigError, match="multiple of 8, not 20"):
        _config().check_divides(20)

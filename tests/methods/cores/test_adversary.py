import pytest
import torch

from dpbench.methods.cores.tokens.adversary import Discriminator


@pytest.mark.parametrize("side", [16, 6, 4, 1])
def test_adversarial_losses_have_separate_gradients(side):
    torch.manual_seed(0)
    discriminator = Discriminator(1, width=4)
    real, made = torch.randn(4, 1, side, side), torch.randn(4, 1, side, side, requires_grad=True)
    losses = discriminator.losses(real, made)
    weights = list(discriminator.parameters())
    for paid in (losses.perceptual, losses.adversarial):
        of_image, *of_weights = torch.autograd.grad(paid, [made, *weights], retain_graph=True, allow_unused=True)
        assert of_image.abs().sum() > 0
        assert of_weights == [None] * len(weights)
    of_image, *of_weights = torch.autograd.grad(losses.discriminator, [made, *weights], allow_unused=True)
    assert of_image is None
    assert all(g is not None for g in of_weights)
    assert discriminator.losses(real, real).perceptual < 1e-9

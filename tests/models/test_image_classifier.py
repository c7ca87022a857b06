import pytest
import torch

from dpbench.models.image_classifier import NETWORKS, ImageClassifier


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 64, 64)])
def test_images_of_any_size_and_colour_are_classified_one_by_one(network, shape):
    torch.manual_seed(0)
    model = ImageClassifier(network, 7).eval()
    images = 2 * torch.rand(3, *shape) - 1
    with torch.no_grad():
        logits, alone = model(images), model(images[:1])
    assert logits.shape == (3, 7)
    assert torch.allclose(logits[:1], alone, atol=1e-4)


def test_grey_images_are_seen_as_colour():
    torch.manual_seed(0)
    model, grey = ImageClassifier("small", 4), torch.rand(2, 1, 32, 32)
    assert torch.equal(model(grey), model(grey.repeat(1, 3, 1, 1)))

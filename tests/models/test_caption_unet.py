import torch

from dpbench.models.caption_context import ProjectedWords, PublishedWords
from dpbench.models.caption_unet import CaptionUNet
from dpbench.models.condition_unet import condition_unet
from dpbench.models.unet_config import UNetConfig

WORDS, D, WIDTH = 4, 6, 12


def _network(patch: int = 1) -> CaptionUNet:
    torch.manual_seed(0)
    unet = condition_unet(patch**2, 8, UNetConfig((8, 16)), WIDTH)
    network = CaptionUNet(unet, ProjectedWords(WORDS, D, WIDTH), patch)
    torch.nn.init.normal_(network.captions.place.weight)
    return network


def _output(network: CaptionUNet, *captions: torch.Tensor) -> torch.Tensor:
    """For the same image at the same time."""
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(len(captions), -1, -1, -1)
    with torch.no_grad():
        return network(x, 7, torch.stack(captions))


def test_words_and_their_order_matter_and_padding_does_not():
    network, a, b = _network(), torch.randn(D), torch.randn(D)
    none = torch.zeros(D)
    ab, ba, only_a, empty = (torch.stack(words) for words in ([a, b], [b, a], [a, none], [none, none]))
    outputs = _output(network, ab, ba, only_a, empty)
    distances = torch.cdist(outputs.flatten(1), outputs.flatten(1)) + torch.eye(4)
    assert outputs.isfinite().all()
    assert distances.min() > 1e-4
    padded = [torch.cat([words, torch.zeros(2, D)]) for words in (ab, ba, only_a, empty)]
    torch.testing.assert_close(_output(network, *padded), outputs, atol=1e-5, rtol=0)


def test_the_length_of_a_vector_does_not_matter():
    network, words = _network(), torch.randn(WORDS, D)
    first, second = _output(network, words, 7 * words)
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0)


def test_pixels_come_in_patches():
    network = _network(patch=2)
    with torch.no_grad():
        assert network(torch.randn(2, 1, 16, 16), torch.tensor([0.3, -1.0]), torch.randn(2, WORDS, D)).shape[2:] == (
            16,
            16,
        )
    assert network.unet.config.in_channels == 4


def test_a_published_network_sees_words_as_they_are_and_the_empty_text_for_none():
    torch.manual_seed(0)
    unet = condition_unet(1, 8, UNetConfig((8, 16)), D)
    empty = torch.cat([torch.randn(1, D), torch.zeros(1, D)])
    network = CaptionUNet(unet, PublishedWords(empty))
    assert list(network.embedder.parameters()) == []
    words = torch.randn(2, D)
    found = _output(network, words, torch.zeros(2, D))
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(found[:1], unet(x, 7, encoder_hidden_states=words[None]).sample)
        torch.testing.assert_close(found[1:], unet(x, 7, encoder_hidden_states=empty[None, :1]).sample)

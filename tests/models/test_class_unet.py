from functools import partial

import torch
from tiny_pipelines import condition_unet, plain_unet

from dpbench.models.class_unet import with_classes


def test_embeddings_of_known_classes_are_kept():
    own = plain_unet(num_class_embeds=5)
    table = own.class_embedding.weight.detach().clone()
    x, labels = torch.randn(2, 3, 8, 8), torch.tensor([0, 3])
    with torch.no_grad():
        expected = own(x, 7, class_labels=labels).sample
        network = with_classes(own, 6)
        assert torch.equal(network.known, torch.cat([table, table.mean(0, keepdim=True)]))
        network.classes.weight.copy_(network.known)
        torch.testing.assert_close(network(x, 7, labels), expected)


def test_zero_embeddings_leave_an_unconditional_network_as_it_is():
    own, x = plain_unet(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = own(x, 7).sample
        network = with_classes(own, 3)
        assert network.known.shape == (1, network.classes.embedding_dim)
        network.classes.weight.zero_()
        torch.testing.assert_close(network(x, 7, torch.tensor([0, 2])), expected)


def _append(seen: list[torch.nn.Module], block: torch.nn.Module, *_: object) -> None:
    seen.append(block)


def test_attention_blocks_come_in_the_order_of_the_forward_pass():
    for network in (with_classes(condition_unet(), 3), with_classes(plain_unet(), 3)):
        seen: list[torch.nn.Module] = []
        note = partial(_append, seen)
        for block in network.attention:
            block.register_forward_hook(note)
        channels = network.unet.config.in_channels
        network(torch.randn(1, channels, 8, 8), torch.tensor([3]), torch.tensor([0]))
        assert len(seen) == 4  # one below, one in the middle, two above
        assert all(a is b for a, b in zip(seen, network.attention, strict=True))

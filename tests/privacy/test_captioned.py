"""Captions behind the vault: they reach contributions and losses, records stay independent, and no byte is read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from stepping import flat, start, weights
from torch import Tensor, nn
from vaults import Images, a_sum, pixels, steps, vault

from dpbench.core.captions import decode_captions, encode_captions
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.gradients.engines import ENGINES

N, LENGTH = 20, 12

TEXTS = [("a red square", "a dog", "é", "", "a cat on a mat")[i % 5] + str(i) for i in range(N)]


class Captioned(Images):
    """Images with captions."""

    def __init__(self, images: Tensor):
        super().__init__(images, classes=0)
        self.spec = DatasetSpec("captioned", 1, 4, len(images), 10, None, False, caption_bytes=LENGTH)
        self.captions = encode_captions(TEXTS[: len(images)], LENGTH)

    def batch(self, indices: Sequence[int]) -> Batch:
        plain = super().batch(indices)
        return Batch(plain.images, self.captions[list(indices)])


class Untouchable(Captioned):
    """Records that nobody may read."""

    def batch(self, indices: Sequence[int]) -> Batch:
        raise AssertionError("a private record was read")


class Reader(nn.Module):
    """Guesses images from an embedding of the captions' bytes, of which zeros are padding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(256, 6)
        self.out = nn.Linear(6, 16)

    def forward(self, captions: Tensor) -> Tensor:
        """uint8 [b, length] -> [b, 16]."""
        known = (captions > 0)[..., None]
        return self.out((self.embedding(captions.long()) * known).sum(1) / LENGTH)


def guess(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return (model(batch.captions) - flat(batch)).square().sum(1)


def letters(batch: Batch) -> Tensor:
    """How often a caption has each byte: [b, 256]."""
    return F.one_hot(batch.captions.long(), 256).sum(1).float()


def test_a_contribution_is_made_of_captions() -> None:
    records = Captioned(pixels(N))
    total = vault(records, a_sum(clip=100.0)).noisy_sum("sum", letters, chunk=7)
    assert torch.equal(total, letters(Batch(condition=records.captions)).sum(0))
    assert total[ord("é".encode()[1:])] == 4


@pytest.mark.parametrize("micro_batch", [0, 6])
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_private_step_is_the_gradient_of_a_loss_of_captions(engine: str, views: int, micro_batch: int) -> None:
    records, model = Captioned(pixels(N)), Reader()
    everything = Batch(records.images, records.captions)
    gradients = torch.autograd.grad(guess(model, everything, torch.Generator()).sum(), list(model.parameters()))
    before = weights(model)
    mechanism = steps(N, clip=1e6)
    next(start(vault(records, mechanism), model, guess, engine=engine, views=views, micro_batch=micro_batch))
    moved = (before - weights(model)) * N
    torch.testing.assert_close(moved, torch.cat([g.flatten() for g in gradients]), rtol=1e-3, atol=1e-3)


def test_a_model_learns_from_captions_with_noise() -> None:
    records, model = Captioned(pixels(N)), Reader()
    everything = Batch(records.images, records.captions)
    before = guess(model, everything, torch.Generator()).mean()
    mechanism = steps(N, clip=1.0, noise_multiplier=0.5, expected_batch=10, steps=30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in start(vault(records, mechanism), model, guess, optimizer):
        pass
    assert guess(model, everything, torch.Generator()).mean() < 0.9 * before


def test_derived_values_stand_beside_their_captions() -> None:
    records = Captioned(pixels(N))
    derived = vault(records, a_sum(clip=1e6)).derive(flat, chunk=7)
    total = derived.noisy_sum("sum", lambda b: b.derived * (b.captions > 0).sum(1, keepdim=True))
    lengths = torch.tensor([len(text.encode()[:LENGTH]) for text in TEXTS])
    torch.testing.assert_close(total, (flat(Batch(records.images)) * lengths[:, None]).sum(0))


MIXING = {
    "divided by the batch's mean": lambda captions: captions.float() / (1 + captions.float().mean(0)),
    "the next record's caption": lambda captions: captions.roll(1, 0).float(),
    "how many captions are empty": lambda captions: captions.float() * (captions[:, :1] == 0).float().mean(),
}


@pytest.mark.parametrize("mix", MIXING.values(), ids=MIXING)
def test_closures_that_mix_captions_are_refused(mix) -> None:
    private = vault(Untouchable(pixels(N)), a_sum(), steps(N))
    with pytest.raises(PrivacyError, match="mixes records"):
        private.noisy_sum("sum", lambda b: mix(b.captions))
    with pytest.raises(PrivacyError, match="mixes records"):
        start(private, nn.Linear(LENGTH, 3), lambda model, b, generator: model(mix(b.captions) / 100).square().sum(1))


READS = {
    "decoded": decode_captions,
    "bytes of numpy": lambda captions: bytes(captions[0].numpy()),
    "list": lambda captions: captions[0].tolist(),
    "length of the longest": lambda captions: captions[:, : int((captions > 0).sum(1).max())],
    "mask": lambda captions: captions[captions > 0],
    "table indexed by bytes, which torch takes for a mask": lambda captions: torch.zeros(LENGTH, 3)[captions[0]],
    "comparison with a word": lambda captions: torch.equal(captions[0], encode_captions(["a dog"], LENGTH)[0]),
    "print": lambda captions: str(captions),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_closures_that_read_captions_on_the_host_are_refused(read) -> None:
    private = vault(Untouchable(pixels(N)), a_sum(), steps(N))

    def contribution(batch: Batch) -> Tensor:
        read(batch.captions)
        return letters(batch)

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        read(batch.captions)
        return guess(model, batch, generator)

    for query in (
        lambda: private.noisy_sum("sum", contribution),
        lambda: private.derive(contribution),
        lambda: start(private, Reader(), loss),
    ):
        with pytest.raises(PrivacyError, match="reads a value that depends on records"):
            query()


def test_a_read_between_two_proofs_is_seen_on_the_records_themselves() -> None:
    done: list[int] = []

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        if len(done) == 3:  # the loss is proved again after steps 2 and 4
            decode_captions(batch.captions)
        return guess(model, batch, generator)

    stepper = start(vault(Captioned(pixels(N)), steps(N, steps=8)), Reader(), loss)
    done += [next(stepper).number for _ in range(3)]
    with pytest.raises(PrivacyError, match="reads a value that depends on records"):
        next(stepper)

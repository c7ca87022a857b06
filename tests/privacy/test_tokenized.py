"""Captions as tokens behind the vault: one record is all its captions, and the tokenizer sees one caption at a time."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from stepping import start, weights
from torch import Tensor, nn
from vaults import Images, a_sum, pixels, planned, steps, vault

from dpbench.core.caption_tokens import NO_TOKEN, Lost, caption_tokens
from dpbench.core.captions import encode_captions, join_captions
from dpbench.core.config import build
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, Conditions, DatasetSpec
from dpbench.methods.cores.tokens.token_conditions import ByCaption
from dpbench.models.caption_settings import CaptionSettings
from dpbench.privacy.auditing.audited_vault import AuditedVault
from dpbench.privacy.auditing.canaries import CanaryRecords
from dpbench.privacy.plan import Plan
from dpbench.privacy.rehearsal import Rehearsal
from dpbench.privacy.stand_in import StandIn

N, BYTES, CAPTIONS, LENGTH = 12, 120, 8, 3

RECORDS: list[list[str]] = [
    ["a red star", "one star"],
    [],
    ["猫が寝ている"],
    ["x"] * 20,
    ["word " * 2000],
    [f"caption {number}" for number in range(CAPTIONS)],
] * 2


class Captioned(Images):
    """Images with any number of captions."""

    def __init__(self, records: Sequence[Sequence[str]] = RECORDS):
        super().__init__(pixels(len(records)), classes=0)
        self.spec = DatasetSpec("captioned", 1, 4, len(records), 10, None, False, caption_bytes=BYTES)
        self.captions = encode_captions([join_captions(texts, BYTES) for texts in records], BYTES)

    def batch(self, indices: Sequence[int]) -> Batch:
        return Batch(super().batch(indices).images, self.captions[list(indices)])


class Untouchable(Captioned):
    """Records that nobody may read."""

    def batch(self, indices: Sequence[int]) -> Batch:
        raise AssertionError("a private record was read")


def letters(text: str, length: int) -> list[int]:
    """Code points below 256."""
    return [ord(letter) % 256 for letter in text][:length]


def counted(batch: Batch) -> Tensor:
    """How many tokens each record has: [b, 1]."""
    assert batch.caption_tokens is not None
    return (batch.caption_tokens != NO_TOKEN).sum((1, 2))[:, None].float()


def test_tokens_stand_in_the_place_of_captions() -> None:
    records = Captioned()
    private = vault(records, a_sum(clip=1e6), device="cpu").tokenize(letters, CAPTIONS, LENGTH)
    total = private.noisy_sum("sum", lambda b: b.caption_tokens.flatten(1).float(), chunk=5).reshape(CAPTIONS, LENGTH)
    assert total[0, 0] == 2 * (ord("a") + NO_TOKEN + ord("猫") % 256 + ord("x") + ord("w") + ord("c"))
    tokens = private._parts.records.batch([0, 1, 3, 4]).caption_tokens
    assert tokens.dtype == torch.int32
    assert tokens[0, :3].tolist() == [letters("a r", 3), letters("one", 3), [NO_TOKEN] * 3]
    assert (tokens[1] == NO_TOKEN).all()
    assert tokens[2, :, 0].tolist() == [ord("x")] * CAPTIONS  # of 20 captions
    assert tokens[3, 1:].eq(NO_TOKEN).all()  # one caption of 10,000 characters


def counted_warnings(records: Captioned) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vault(records).tokenize(letters, CAPTIONS, LENGTH)
    return [str(warning.message) for warning in caught]


def test_captions_that_are_cut_or_empty_are_counted_on_public_benchmarks_alone() -> None:
    assert counted_warnings(Captioned()) == []
    public = Captioned()
    public.spec = replace(public.spec, public_benchmark=True)
    assert counted_warnings(public) == [
        "8 of 12 captions of captioned are longer than text_tokens and are cut",  # all but the empty and the short ones
        "2 of 12 captions of captioned have no tokens and say nothing",
    ]


def test_a_caption_that_just_fits_is_not_cut() -> None:
    for text, cut in (("abc", 0), ("abcd", 1), ("ab\nabcd", 1)):
        tokens = caption_tokens([text], letters, 2, 3)
        assert Lost.of([text], tokens, letters) == Lost(1, cut, 0)


def test_prompts_that_are_cut_or_empty_are_counted() -> None:
    with pytest.warns(UserWarning, match="1 of 3 prompts are longer than text_tokens and are cut"):
        by_caption().asked(Conditions(3, ("one two three", "one two three four", "one")))
    with pytest.warns(UserWarning, match="2 of 3 prompts have no tokens and say nothing"):
        by_caption().asked(Conditions(3, ("...", "a star", "")))


def test_other_values_are_derived_beside_the_tokens() -> None:
    private = vault(Captioned(), a_sum(clip=1e6)).derive(lambda b: b.images.float().mean((1, 2, 3))[:, None])
    total = private.tokenize(letters, CAPTIONS, LENGTH).noisy_sum(
        "sum", lambda b: torch.cat([b.derived, counted(b)], 1)
    )
    assert total[1] == 2 * (3 + 3 + 3 + 8 + 3 + 8 * 3)


class Remembers:
    """Counts the captions that it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, text: str, length: int) -> list[int]:
        self.seen += 1
        return [self.seen]


def test_a_tokenizer_that_remembers_is_refused_before_a_record_is_read() -> None:
    with pytest.raises(PrivacyError, match="the tokenizer gives different values for the same records"):
        vault(Untouchable()).tokenize(Remembers(), CAPTIONS, LENGTH)
    with pytest.raises(PrivacyError, match="no captions to tokenize"):
        vault(Images(pixels(4))).tokenize(letters, CAPTIONS, LENGTH)


def test_a_tokenizer_that_fails_shows_no_caption() -> None:
    def fails(text: str, length: int) -> list[int]:
        if "star" in text:
            raise ValueError(f"secret {text}")
        return [0]

    private = vault(Captioned())
    with pytest.raises(PrivacyError, match="is not shown") as raised:
        private.tokenize(fails, CAPTIONS, LENGTH)
    assert "star" not in str(raised.value)
    with pytest.raises(PrivacyError, match="the vault is closed"):
        private.tokenize(letters, CAPTIONS, LENGTH)


def by_caption(**settings: object) -> ByCaption:
    return ByCaption(
        build(CaptionSettings, {"text.dim": 8, "text_tokens": LENGTH, "captions_per_image": 8, **settings})
    )


class Reader(nn.Module):
    """A linear model of the pooled vector."""

    def __init__(self, condition: ByCaption):
        super().__init__()
        torch.manual_seed(0)
        self.out = nn.Linear(8, 1)
        self.condition = condition


def reads(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """A loss of one caption of each record, with large gradients."""
    assert isinstance(model, Reader)
    one = model.condition.one(model.condition.of(batch), len(batch), generator)
    return 100 * model.out(model.condition.inputs(one, 0).text.pooled).squeeze(1)


@pytest.mark.parametrize("views", [1, 4])
@pytest.mark.parametrize("captions", [["a star"], ["a star"] * 8, ["one", "two", "three", "four", "five", "six"]])
def test_a_record_moves_a_step_by_its_clip_however_many_captions_it_has(captions: list[str], views: int) -> None:
    """Zero-out neighbours: one record with captions made to add up, among records without any."""
    condition = by_caption()

    def moved(records: list[list[str]]) -> Tensor:
        private = condition.ready(vault(Captioned(records), steps(6, clip=0.5)))
        model = Reader(condition)
        before = weights(model)
        next(start(private, model, reads, views=views))
        return (before - weights(model)) * 6

    others: list[list[str]] = [[]] * 5
    with_it = moved([captions, *others])
    without = moved([[], *others])
    assert (with_it - without).norm() < 2 * 0.5 + 1e-4  # the record as it is against an empty one, each at most 0.5
    bias_only = without / 6
    assert bias_only.norm() < 0.5 + 1e-4
    assert (with_it - 5 * bias_only).norm() == pytest.approx(0.5, abs=1e-3)


def test_a_view_draws_among_the_captions_that_a_record_has() -> None:
    condition = by_caption()
    texts = ["one\ntwo\nthree", "four", ""]
    of = condition.of(Batch(condition=encode_captions(texts))).repeat_interleave(2000, 0)
    one = condition.one(of, 6000, torch.Generator().manual_seed(0))
    words = {word: condition._encoder.tokenize(word, 1)[0] for word in ("one", "two", "three", "four")}
    shares = {word: [(one[2000 * r : 2000 * r + 2000, 0] == n).float().mean().item() for r in range(3)]
              for word, n in words.items()}  # fmt: skip
    for word in ("one", "two", "three"):
        assert shares[word][0] == pytest.approx(1 / 3, abs=0.05)
    assert shares["four"] == [0, 1, 0]
    assert (one[4000:] == NO_TOKEN).all()


def test_the_draws_of_captions_are_secret() -> None:
    """The same seed draws other captions with another key of the noise."""
    records, condition = Captioned([[f"word{k}" for k in range(8)]] * 6), by_caption()
    found = []
    for _ in range(2):
        model = Reader(condition)
        next(start(condition.ready(vault(records, steps(6, clip=1e6))), model, reads))
        found.append(copy.deepcopy(weights(model)))
    assert not torch.equal(*found)


def test_an_audit_tokenizes_and_keeps_its_canaries() -> None:
    spec = DatasetSpec("sensitive", 1, 4, 40, 10, None, True, caption_bytes=BYTES)
    records = CanaryRecords(Captioned(), spec, np.arange(20) % 2 == 0)
    audited = AuditedVault(records, planned(steps(40, noise_multiplier=0.01, expected_batch=40)))
    condition = by_caption()
    model = Reader(condition)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for _ in condition.ready(audited).dp_sgd("steps", model, reads, optimizer, torch.Generator()):
        pass
    contribution = audited.scores["steps"].contribution
    assert contribution is not None
    assert not contribution.is_off  # each canary that is in counts as one record of the clip


def test_a_rehearsal_tokenizes_public_captions() -> None:
    spec = DatasetSpec("sensitive", 1, 4, 40, 10, None, True, caption_bytes=BYTES)
    rehearsal = Rehearsal(StandIn(Captioned(), spec), Plan(steps(40, noise_multiplier=None, expected_batch=10)))
    condition = by_caption()
    model = Reader(condition)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for _ in condition.ready(rehearsal).dp_sgd("steps", model, reads, optimizer, torch.Generator()):
        pass
    assert rehearsal.on_average().signal > 0

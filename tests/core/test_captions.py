"""Conversion between captions and padded bytes."""

from __future__ import annotations

import pytest
import torch

from dpbench.core.captions import decode_captions, encode_captions

TEXTS = ["a red square", "", "é", "日本語 and more", "two\nlines"]


def test_captions_round_trip():
    encoded = encode_captions(TEXTS)
    assert encoded.dtype == torch.uint8
    assert encoded.shape == (5, len("日本語 and more".encode()))
    assert decode_captions(encoded) == TEXTS


def test_captions_are_padded_with_zeros():
    assert encode_captions(["ab", "c"], 4).tolist() == [[97, 98, 0, 0], [99, 0, 0, 0]]


def test_long_captions_are_truncated_at_a_character_boundary():
    encoded = encode_captions(["aé", "日本"], 2)
    assert encoded.shape == (2, 2)
    assert decode_captions(encoded) == ["a", ""]


@pytest.mark.parametrize("length", [None, 7])
def test_empty_captions_have_the_requested_length(length):
    assert encode_captions([], length).shape == (0, length or 1)
    assert encode_captions(["", ""], length).shape == (2, length or 1)


def test_incomplete_character_is_dropped():
    assert decode_captions(torch.tensor([[97, 0xC3, 0], [0xA9, 98, 0]], dtype=torch.uint8)) == ["a", "b"]

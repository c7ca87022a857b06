"""Conversion between captions and padded bytes."""

from __future__ import annotations

import pytest
import torch

from dpbench.core.captions import decode_captions, encode_captions, join_captions, split_captions

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


def test_captions_of_a_record_are_one_text():
    text = join_captions([" a red\r\nsquare ", "", "\n", "日本\x00語"], 100)
    assert text == "a red square\n日本 語"
    assert split_captions(text) == ["a red square", "日本 語"]
    assert split_captions(join_captions([], 10)) == split_captions(join_captions([" "], 10)) == []


def test_whole_captions_are_kept_as_far_as_they_fit():
    assert join_captions(["abcd", "efghij", "kl"], 7) == "abcd\nkl"
    assert join_captions(["ééé", "efghij"], 5) == "éé"


def test_half_characters_do_not_break_a_text():
    assert join_captions(["a \ud83d b"], 20) == "a ? b"

"""Tiny random text encoders in the format of transformers, saved to disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

WORDS = ("a", "red", "blue", "star", "ring", "above", "é", "ground")


def save_clip(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.CLIPTextConfig(
        vocab_size=16, hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=12, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    transformers.CLIPTextModel(config).save_pretrained(folder)
    save_tokenizer(folder)


def save_t5(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
    transformers.T5EncoderModel(config).save_pretrained(folder)
    save_tokenizer(folder)


def save_tokenizer(folder: Path) -> None:
    """Whole words between a mark of the beginning and one of the end."""
    import tokenizers
    import transformers

    vocabulary = {word: number for number, word in enumerate(("[PAD]", "[BOS]", "[EOS]", "[UNK]", *WORDS))}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 1), ("[EOS]", 2)]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", bos_token="[BOS]", eos_token="[EOS]", unk_token="[UNK]"
    )
    fast.save_pretrained(folder)


SAVED: dict[str, Callable[[Path], None]] = {"clip": save_clip, "t5": save_t5}
"""Encoder -> a function that writes a tiny one of its kind into a folder."""

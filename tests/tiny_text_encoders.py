"""Tiny random text encoders and language models in the format of transformers, saved to disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def save_masked_model(folder: Path, likely: str) -> None:
    """A BERT for masked language modelling, which finds one of `WORDS` most likely everywhere; "" for none."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=13, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=12,
    )  # fmt: skip
    model = transformers.BertForMaskedLM(config)
    if likely:
        with torch.no_grad():
            model.cls.predictions.bias[4 + WORDS.index(likely)] = 50
    model.save_pretrained(folder)
    save_tokenizer(folder, mask_token="[MASK]", model_max_length=12)


def save_tokenizer(folder: Path, **settings: Any) -> None:
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
        tokenizer_object=words, pad_token="[PAD]", bos_token="[BOS]", eos_token="[EOS]", unk_token="[UNK]", **settings
    )
    fast.save_pretrained(folder)


SAVED: dict[str, Callable[[Path], None]] = {"clip": save_clip, "t5": save_t5}
"""Encoder -> a function that writes a tiny one of its kind into a folder."""

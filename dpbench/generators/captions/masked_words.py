"""Public captions, varied by a masked language model that fills in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from dpbench.core.errors import ConfigError, DataError, reason
from dpbench.core.extras import import_extra
from dpbench.core.track import Track
from dpbench.generators.captions.caption_source import CaptionSource
from dpbench.generators.captions.captions_config import CaptionsConfig

LIKELIEST = 20
"""Number of tokens from which a word is drawn, in proportion to their probabilities."""


class MaskedWords(CaptionSource):
    """Public captions; a variation masks each word with probability `degree`, and a language model fills it in.

    The model is a transformers model for masked language modelling, such as BERT. Words are filled in from left to
    right, each drawn from the 20 likeliest tokens. The model's training data is unknown.

    Raises:
        NotInstalled, ConfigError, DataError: the model is missing, of another kind, or damaged.
    """

    track: ClassVar[Track] = "foundation"

    def __init__(self, captions: Sequence[str], config: CaptionsConfig):
        from dpbench.models.pretrained.pipeline_folders import pipeline_folder

        super().__init__(captions, config)
        folder = pipeline_folder(config.language_model)
        transformers = import_extra("transformers", "hub")
        transformers.utils.logging.disable_progress_bar()  # dpbench shows its own
        try:
            self._model = transformers.AutoModelForMaskedLM.from_pretrained(folder, local_files_only=True)
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise DataError(f"cannot load a masked language model from {folder}: {reason(error)}") from error
        if self._tokenizer.mask_token is None:
            raise ConfigError(f"the tokenizer in {folder} has no mask; name a model for masked language modelling")
        self._model.float().eval().requires_grad_(False)

    @classmethod
    def weights_of(cls, config: CaptionsConfig) -> Mapping[str, str]:
        """See `CaptionSource.weights_of`."""
        from dpbench.models.pretrained.pipeline_folders import text_sha256

        return {Path(config.language_model).name: text_sha256(config.language_model)[:12]}

    def varied(self, caption: str, degree: float, draws: Random) -> str:
        """See `CaptionSource.varied`."""
        words = caption.split()
        for k, word in enumerate(words):
            if draws.random() < degree:
                words[k] = self._tokenizer.mask_token
                words[k] = self._filled(" ".join(words), draws) or word
        return " ".join(words)

    def _filled(self, text: str, draws: Random) -> str:
        """A word for the mask in a text; "" if there is none for it, or if the text is too long for the model."""
        import torch

        tokens: Any = self._tokenizer(text, return_tensors="pt", truncation=True)
        places = (tokens["input_ids"][0] == self._tokenizer.mask_token_id).nonzero()[:, 0]
        if not len(places):
            return ""
        with torch.no_grad():
            logits = self._model(**tokens).logits[0, places[0]]
        logits[self._tokenizer.all_special_ids] = -torch.inf
        found = logits.topk(min(LIKELIEST, len(logits)))
        token = draws.choices(found.indices.tolist(), found.values.softmax(0).tolist())[0]
        word: str = self._tokenizer.decode([token])
        return word.strip().removeprefix("##")

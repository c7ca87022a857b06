"""Token embeddings distilled from those of large language models, shipped in the PyPI package wordllama."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from dpbench.core.config import NoSettings
from dpbench.core.errors import DataError, NotInstalled
from dpbench.core.extras import import_extra
from dpbench.core.track import Track
from dpbench.text_encoders.table import TableEncoder

WEIGHTS = "weights/l2_supercat_256.safetensors"
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"


class WordLlama(TableEncoder[NoSettings]):
    """Pretrained token embeddings that travel inside the PyPI package wordllama: 32,000 tokens, 256 numbers each.

    The embeddings were distilled from those of Llama 2 and other models, whose training data is unknown. The tokenizer
    is Llama 2's; it splits unknown words into bytes. Needs `pip install "dpbench[text]"`. Nothing is downloaded, and
    the package's own code is not used.
    """

    def __init__(self, config: NoSettings):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = _file(WEIGHTS)
        try:
            super().__init__(config, load_file(path)["embedding.weight"])
        except (SafetensorError, KeyError) as error:
            raise DataError(f"{path} is damaged: {error}; reinstall wordllama") from error
        self._tokenizer = import_extra("tokenizers", "text").Tokenizer.from_file(str(_file(TOKENIZER)))
        self._tokenizer.no_padding()

    @classmethod
    def track_of(cls, config: NoSettings) -> Track:
        """See `TextEncoder.track_of`."""
        return "foundation"

    @classmethod
    def weights_of(cls, config: NoSettings) -> Mapping[str, str]:
        """See `TextEncoder.weights_of`."""
        from dpbench.models.pretrained.finding import sha256

        return {"wordllama-l2-supercat-256": sha256(_file(WEIGHTS))[:12]}

    def tokenize(self, text: str, length: int) -> list[int]:
        """See `TextEncoder.tokenize`."""
        numbers: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return numbers[:length]


def _file(name: str) -> Path:
    """A file of the installed package, which is not imported."""
    package = importlib.util.find_spec("wordllama")
    if package is None or not package.submodule_search_locations:
        raise NotInstalled("wordllama is not installed; `pip install 'dpbench[text]'`")
    path = Path(package.submodule_search_locations[0], name)
    if not path.is_file():
        raise DataError(f"{path} is missing; reinstall wordllama")
    return path

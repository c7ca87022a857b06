"""Base of the encoders of the transformers package: a folder, or a repository in the Hugging Face hub's cache."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from dpbench.core.errors import DataError, reason
from dpbench.core.extras import import_extra
from dpbench.core.text_encoder import TextEncoder, TextEncoding
from dpbench.core.track import Track

if TYPE_CHECKING:
    from torch import Tensor


class StoredConfig(Protocol):
    """The settings that every stored encoder has."""

    @property
    def weights(self) -> str:
        """A folder, or the name of a repository in the hub's cache."""
        ...


S = TypeVar("S", bound=StoredConfig)


class StoredEncoder(TextEncoder[S]):
    """A text encoder that is loaded as it was published; nothing is downloaded. Subclasses define `network` and `pool`.

    It may be a part of a pipeline of diffusers: the folders `text_encoder` and `tokenizer`. Its training data is
    unknown, so rows are in the track "foundation".
    """

    network: ClassVar[str]
    """Its class in transformers."""

    def __init__(self, config: S):
        from safetensors import SafetensorError

        from dpbench.models.pretrained.pipeline_folders import text_folders

        super().__init__(config)
        folder, tokenizer = text_folders(config.weights)
        transformers = import_extra("transformers", "hub")
        transformers.utils.logging.disable_progress_bar()  # dpbench shows its own
        try:
            kind: Any = getattr(transformers, self.network)
            self._network = kind.from_pretrained(folder, local_files_only=True, attn_implementation="eager").float()
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise DataError(f"cannot load a {self.network} from {folder}: {reason(error)}") from error
        self._network.eval().requires_grad_(False)
        self.dim = self.pooled_dim = self._network.config.hidden_size
        self.longest = getattr(self._network.config, "max_position_embeddings", None)

    @classmethod
    def track_of(cls, config: S) -> Track:
        """See `TextEncoder.track_of`."""
        return "foundation"

    @classmethod
    def weights_of(cls, config: S) -> Mapping[str, str]:
        """See `TextEncoder.weights_of`."""
        from dpbench.models.pretrained.pipeline_folders import text_folders, text_sha256

        folder, tokenizer = text_folders(config.weights)
        name = Path(config.weights).name
        return {name if folder == tokenizer else f"{name}/{folder.name}": text_sha256(config.weights)[:12]}

    def tokenize(self, text: str, length: int) -> list[int]:
        """See `TextEncoder.tokenize`. Start and end tokens are counted."""
        numbers: list[int] = self._tokenizer(text, truncation=True, max_length=length)["input_ids"]
        return numbers

    def encode(self, tokens: Tensor) -> TextEncoding:
        """See `TextEncoder.encode`."""
        import torch

        mask = tokens >= 0
        known = torch.where(mask, tokens, self._tokenizer.pad_token_id or 0).long()
        with torch.no_grad():
            output = self._network.to(tokens.device)(input_ids=known, attention_mask=self.attention(mask))
        return TextEncoding(output.last_hidden_state, mask, self.pool(output, mask))

    @abstractmethod
    def attention(self, mask: Tensor) -> Tensor:
        """The attention mask, which is added to the logits: float [b, 1, t, t]. It copies no value to the host.

        Args:
            mask: bool [b, t], False at padding.
        """

    @abstractmethod
    def pool(self, output: Any, mask: Tensor) -> Tensor:
        """One vector per text: float [b, d].

        Args:
            output: output of the network.
            mask: bool [b, t], False at padding.
        """


def hidden_where(hidden: Tensor) -> Tensor:
    """0 where `hidden` is False, and the most negative number where it is True."""
    import torch

    return torch.zeros(hidden.shape, device=hidden.device).masked_fill(hidden, torch.finfo(torch.float32).min)

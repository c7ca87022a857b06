"""Settings of the generators whose candidates are captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dpbench.core.config import option
from dpbench.core.errors import ConfigError


@dataclass(frozen=True)
class CaptionsConfig:
    """Where captions come from, and how they are varied."""

    edits: Literal["phrases", "scenes", "language-model"] = option(
        "phrases",
        "phrases: public captions that exchange phrases; scenes: the grammar of scenes and still-lifes; "
        "language-model: public captions with words filled in by a language model",
    )
    language_model: str = option(
        "", "edits=language-model: folder or hub repository of a masked language model, such as BERT"
    )
    pool: int = option(10_000, "public captions to draw from; stored with the model", low=1)
    caption_bytes: int = option(160, "bytes of a caption; longer ones are cut", low=1)

    def __post_init__(self) -> None:
        if (self.edits == "language-model") != bool(self.language_model):
            raise ConfigError("edits=language-model needs a masked language model, and nothing else does; set both "
                              "edits=language-model and language_model=FOLDER, or neither")  # fmt: skip

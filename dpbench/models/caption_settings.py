"""Settings of methods that take captions: the text encoder, and how much of a record's captions is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dpbench.core.config import Choice, option, plugin_option
from dpbench.core.errors import ConfigError
from dpbench.core.registries import TEXT_ENCODERS
from dpbench.core.specs import DatasetSpec
from dpbench.core.track import Track


@dataclass(frozen=True)
class CaptionSettings:
    """Settings for datasets with captions; they have no effect without captions."""

    text: Choice = plugin_option("hashed", TEXT_ENCODERS, "text encoder of captions")
    text_tokens: int = option(32, "tokens of a caption that the model sees; the rest is cut", low=1, high=512)
    captions_per_image: int = option(
        10, "captions used per image, one drawn per view; the rest is ignored", low=1, high=100
    )

    @property
    def text_track(self) -> Track:
        """The track of the text encoder."""
        track: Track = TEXT_ENCODERS.get(self.text.name).track_of(self.text.config)
        return track

    @property
    def text_weights(self) -> Mapping[str, str]:
        """The weights of the text encoder; see `TextEncoder.weights_of`."""
        weights: Mapping[str, str] = TEXT_ENCODERS.get(self.text.name).weights_of(self.text.config)
        return weights

    def check_captions(self, spec: DatasetSpec) -> None:
        """Refuses a pretrained text encoder that would be named in the row but not used.

        Raises:
            ConfigError: the dataset has no captions.
        """
        if self.text_track == "foundation" and spec.condition != "captions":
            raise ConfigError(f"text.name={self.text.name} encodes captions, and {spec.name} has none")

"""The base class of sources of captions: random captions, and variations of given ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar

from dpbench.core.track import Track
from dpbench.generators.captions.captions_config import CaptionsConfig


class CaptionSource(ABC):
    """Random captions and variations of them, from public captions only. A call sees one caption.

    Args:
        captions: public captions, at least one.
        config: settings.

    Raises:
        ConfigError: the source cannot use such captions.
        NotInstalled, DataError: weights are missing or damaged.
    """

    track: ClassVar[Track] = "images"

    def __init__(self, captions: Sequence[str], config: CaptionsConfig):
        self.captions = captions
        self.config = config

    @classmethod
    def weights_of(cls, config: CaptionsConfig) -> Mapping[str, str]:
        """The weights pretrained elsewhere that it uses: name -> first 12 digits of their SHA-256.

        Raises:
            NotInstalled, DataError: they are missing or damaged.
        """
        return {}

    def random(self, draws: Random) -> str:
        """A random caption: one of the public ones."""
        return draws.choice(self.captions)

    @abstractmethod
    def varied(self, caption: str, degree: float, draws: Random) -> str:
        """A caption with some of its words or content replaced.

        Args:
            caption: from `random` or `varied`.
            degree: the probability with which a part of it is replaced, in (0, 1].
            draws: source of all randomness.
        """

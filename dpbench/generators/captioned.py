"""Base of the generators whose candidates are captions, which a public model renders (SPTI, arXiv 2506.07555)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from dpbench.core.captions import decode_captions, encode_captions, split_captions
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.public_generator import Candidates, PublicGenerator
from dpbench.generators.captions.caption_source import CaptionSource
from dpbench.generators.captions.captions_config import CaptionsConfig
from dpbench.generators.captions.masked_words import MaskedWords
from dpbench.generators.captions.public_phrases import PublicPhrases
from dpbench.generators.captions.scene_grammar import SceneGrammar

if TYPE_CHECKING:
    from torch import Tensor

SOURCES: Mapping[str, type[CaptionSource]] = {
    "phrases": PublicPhrases,
    "scenes": SceneGrammar,
    "language-model": MaskedWords,
}
"""`edits` of the settings -> the class that draws and varies captions."""

CHUNK = 500
"""Public records that are read, or captions that are rendered, at a time."""

C = TypeVar("C", bound=CaptionsConfig)


class Captioned(PublicGenerator[C]):
    """Images rendered from captions by a public text-to-image model; subclasses define `render`.

    A variation edits the caption of an image, more at larger degrees, and renders the result. It shows what the new
    caption says, and shares nothing else with the original image. The origins of candidates are their captions: UTF-8,
    padded with zeros. Captions are drawn from the public source; private captions are not read.
    """

    paper = "arXiv 2506.07555"
    varies_any = False
    needs_captions = True
    _pool: Tensor | None = None
    _source: CaptionSource | None = None

    @abstractmethod
    def render(self, captions: Sequence[str], run: RunContext) -> Tensor:
        """A random image for each caption: uint8 [n, c, h, w] on the CPU. Randomness comes from the run's generator."""

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """Draws the pool of public captions.

        Raises:
            ConfigError: the public source has no captions, or none in the words of the settings.
        """
        if public.spec.condition != "captions":
            raise ConfigError(
                f"candidates are captions, and '{public.spec.name}' has none; name a source with captions by --public"
            )
        self._know(encode_captions(self._drawn(public, run), self.config.caption_bytes))

    def random(self, count: int, run: RunContext) -> Candidates:
        """See `PublicGenerator.random`: renderings of random captions."""
        return self._rendered([self._captions.random(draws) for draws in _draws(count, run)], run)

    def vary(self, candidates: Candidates, degree: float, run: RunContext) -> Candidates:
        """See `PublicGenerator.vary`: renderings of edited captions."""
        captions = zip(captions_of(candidates), _draws(len(candidates.images), run), strict=True)
        return self._rendered([self._captions.varied(text, degree, draws) for text, draws in captions], run)

    def state_dict(self) -> dict[str, Any]:
        """The pool of captions, uint8 [n, bytes]."""
        return {} if self._pool is None else {"pool": self._pool}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict()`."""
        self._know(state["pool"])

    @property
    def _captions(self) -> CaptionSource:
        assert self._source is not None, "prepare comes first"
        return self._source

    def _know(self, pool: Tensor) -> None:
        self._pool = pool
        self._source = SOURCES[self.config.edits](decode_captions(pool), self.config)

    def _drawn(self, public: ImageDataset, run: RunContext) -> list[str]:
        """Captions of random public records, each record once."""
        import torch

        found: list[str] = []
        for part in torch.randperm(len(public), generator=run.generator).split(CHUNK):
            captions = public.batch(part.tolist()).captions
            assert captions is not None
            found += [caption for text in decode_captions(captions) for caption in split_captions(text)]
            if len(found) >= self.config.pool:
                break
        if not found:
            raise ConfigError(f"no public image of '{public.spec.name}' has a caption; name another source by --public")
        return found[: self.config.pool]

    def _rendered(self, captions: Sequence[str], run: RunContext) -> Candidates:
        import torch

        origins = encode_captions(captions, self.config.caption_bytes)
        known = decode_captions(origins)  # as far as they fit
        parts = [known[first : first + CHUNK] for first in range(0, len(known), CHUNK)]
        return Candidates(torch.cat([self.render(part, run) for part in parts]), origins.float())


def captions_of(candidates: Candidates) -> list[str]:
    """The captions of candidates of a `Captioned` generator."""
    return decode_captions(candidates.origins.byte())


def _draws(count: int, run: RunContext) -> list[Random]:
    """A source of randomness for each caption, so that no caption depends on the others."""
    import torch

    return [Random(seed) for seed in torch.randint(2**62, (count,), generator=run.generator).tolist()]

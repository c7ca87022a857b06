"""Public captions, varied by phrases of other public captions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random

from dpbench.generators.captions.caption_source import CaptionSource
from dpbench.generators.captions.captions_config import CaptionsConfig

LONGEST = 3
"""Words of the longest phrase that is replaced."""


class PublicPhrases(CaptionSource):
    """Public captions; a variation replaces phrases with others that occur in the same context.

    A phrase has zero to three words, so captions grow and shrink. Another phrase may replace it if a public caption has
    it between the same two words, where the beginning and the end count as words. As many replacements are tried as the
    caption has words, each with probability `degree`.
    """

    def __init__(self, captions: Sequence[str], config: CaptionsConfig):
        super().__init__(captions, config)
        between: dict[tuple[str, str], dict[tuple[str, ...], None]] = defaultdict(dict)
        for caption in captions:
            words = _with_ends(caption)
            for phrase in _phrases(words):
                between[_around(words, phrase)][tuple(words[phrase])] = None
        self._between = {around: tuple(phrases) for around, phrases in between.items()}

    def varied(self, caption: str, degree: float, draws: Random) -> str:
        """See `CaptionSource.varied`."""
        words = _with_ends(caption)
        for _ in range(sum(draws.random() < degree for _ in words[1:-1])):
            phrase = draws.choice(list(_phrases(words)))
            known = self._between.get(_around(words, phrase), ())
            others = [other for other in known if list(other) != words[phrase]]
            if others:
                words[phrase] = draws.choice(others)
        return " ".join(words[1:-1])


def _with_ends(caption: str) -> list[str]:
    """The words of a caption between two empty ones."""
    return ["", *caption.split(), ""]


def _phrases(words: Sequence[str]) -> Iterator[slice]:
    """The slices of all phrases, including empty ones, between the first and the last word."""
    last = len(words) - 1
    return (slice(a, b) for a in range(1, last + 1) for b in range(a, min(a + LONGEST, last) + 1))


def _around(words: Sequence[str], phrase: slice) -> tuple[str, str]:
    """The words before and after a phrase."""
    return words[phrase.start - 1], words[phrase.stop]

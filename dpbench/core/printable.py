"""Text from outside, made safe to print."""

from __future__ import annotations

import re

OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal obeys (the start of an escape sequence, a change of direction) or cannot show."""


def printable(text: str) -> str:
    """The text with control characters and line breaks escaped, so that a class name cannot clear the screen."""
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)

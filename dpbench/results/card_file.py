"""README.md of a trial's folder: written by dpbench, and left alone once a user edited it."""

from __future__ import annotations

import re
from pathlib import Path

from dpbench.core.files import digest, is_there, reading, write_text

CARD = "README.md"

_LAST_LINE = re.compile(r"\n<!-- Written by dpbench \((\w+)\)[^\n]*-->\n\Z")


def store(path: Path, text: str) -> bool:
    """Writes a card, unless there is one that a user edited or wrote.

    Args:
        path: the path of the card.
        text: Markdown.

    Returns:
        whether it was written.

    Raises:
        RunError: the file cannot be written.
    """
    if is_there(path) and not is_unedited(path):
        return False
    text = f"{text.rstrip()}\n"
    write_text(path, f"{text}\n<!-- Written by dpbench ({digest(text)}). Once you edit this file, it is yours. -->\n")
    return True


def is_unedited(path: Path) -> bool:
    """Whether a file is a card exactly as `store` wrote it.

    Raises:
        DpbenchError: the file cannot be read.
    """
    if not is_there(path):
        return False
    with reading(path):
        text = path.read_bytes().decode(errors="replace")
    last = _LAST_LINE.search(text)
    return last is not None and digest(text[: last.start()]) == last[1]

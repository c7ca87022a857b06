"""The class of a folder of generated images, by the class's name or number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from dpbench.core.errors import UnknownName


class ClassFolders:
    """Folder name -> class number.

    A folder has the name of its class, or a similar one: case, leading zeros and characters other than letters and
    digits are ignored if the class is still unique (no folder can be called "T-shirt/top"). Or it has the class's
    number, counted from 0. If class names are numbers themselves, a number is a name: with the classes ("1", "5"), the
    folder "1" is the first class.

    Args:
        classes: class names in label order.
    """

    def __init__(self, classes: Sequence[str]):
        self._classes = classes
        self._exact = {name: label for label, name in enumerate(classes)}
        shared = Counter(map(_plain, classes))
        self._similar = {_plain(name): label for name, label in self._exact.items() if shared[_plain(name)] == 1}
        if not any(name.isdecimal() for name in classes):
            self._similar |= {str(label): label for label in range(len(classes))}

    def __contains__(self, folder: object) -> bool:
        return isinstance(folder, str) and (folder in self._exact or _plain(folder) in self._similar)

    def label(self, folder: str) -> int:
        """The number of the folder's class.

        Raises:
            UnknownName: no class has such a name; the message suggests the closest names.
        """
        if folder in self._exact:
            return self._exact[folder]
        if _plain(folder) not in self._similar:
            raise UnknownName("class folder", folder, self._classes)
        return self._similar[_plain(folder)]


def _plain(name: str) -> str:
    """A name without case, punctuation and leading zeros; "-1" is kept, since it is not 1."""
    if name.isdecimal():
        return name.lstrip("0") or "0"
    words = re.sub(r"[\W_]+", " ", name.casefold()).strip()
    return name if not words or words.isdecimal() else words

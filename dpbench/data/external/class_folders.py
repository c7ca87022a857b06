"""Which class a folder of generated images stands for: programs write a class by its name, or by its number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from dpbench.core.errors import UnknownName


class ClassFolders:
    """Folder name -> class number.

    A folder is called as its class is, or alike: case, leading zeros and characters that are neither letter nor digit
    do not count where one class alone is meant (no folder can be called "T-shirt/top"). Or it carries the class's
    number, counted from 0. Where a class is called by a number itself, that is its name: of the classes ("1", "5") the
    folder "1" means the first.

    Args:
        classes: class names in label order.
    """

    def __init__(self, classes: Sequence[str]):
        self._classes = classes
        self._exact = {name: label for label, name in enumerate(classes)}
        shared = Counter(map(_plain, classes))
        self._alike = {_plain(name): label for name, label in self._exact.items() if shared[_plain(name)] == 1}
        if not any(name.isdecimal() for name in classes):
            self._alike |= {str(label): label for label in range(len(classes))}

    def __contains__(self, folder: str) -> bool:
        return folder in self._exact or _plain(folder) in self._alike

    def label(self, folder: str) -> int:
        """The number of the class whose images the folder holds.

        Raises:
            UnknownName: no class is called so; the nearest are offered.
        """
        if folder in self._exact:
            return self._exact[folder]
        if _plain(folder) not in self._alike:
            raise UnknownName("class folder", folder, self._classes)
        return self._alike[_plain(folder)]


def _plain(name: str) -> str:
    """What remains of a name, however it was written; "-1" is not 1."""
    if name.isdecimal():
        return name.lstrip("0") or "0"
    words = re.sub(r"[\W_]+", " ", name.casefold()).strip()
    return name if not words or words.isdecimal() else words

"""A part of a page that a script writes, between two markers."""

from __future__ import annotations

from typing import NamedTuple


class WrittenPart(NamedTuple):
    """The part of a page that `docs/SCRIPT` writes.

    Attributes:
        script: the script's file name.
        subject: what the part is about, where the script writes several into one page.
    """

    script: str
    subject: str = ""

    @property
    def begin(self) -> str:
        """The line before the part."""
        return f"<!-- written by docs/{self._name} -->\n"

    @property
    def end(self) -> str:
        """The line after the part."""
        return f"<!-- end of what docs/{self._name} writes -->\n"

    @property
    def _name(self) -> str:
        return f"{self.script} {self.subject}".rstrip()

    def of(self, page: str) -> str:
        """The part of a page, "" if it has no markers."""
        return page.partition(self.begin)[2].partition(self.end)[0]

    def put(self, page: str, part: str) -> str:
        """The page with `part` between its markers.

        Raises:
            ValueError: the page has no markers.
        """
        before, rest = page.split(self.begin)
        _, after = rest.split(self.end)
        return f"{before}{self.begin}{part}{self.end}{after}"

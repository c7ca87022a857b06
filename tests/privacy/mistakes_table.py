"""The table in docs/privacy.md, made from the docstrings in `mistakes/`; run this file to write it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "privacy.md"
BEGIN, END = "<!-- made by tests/privacy/mistakes_table.py -->\n", "<!-- end -->\n"
MISTAKES = sorted((HERE / "mistakes").glob("*.py"))
CATCHERS = ("guard", "probe", "vault", "replay", "ledger", "plan", "seal", "lock", "row", "allowed", "nobody")
"""In the order of the table; explained above it."""


class Mistake(NamedTuple):
    """What a plugin's file says of itself."""

    file: str
    title: str
    advice: str
    caught_by: str


def read(path: Path) -> Mistake:
    """Reads a file without running it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    title, advice = (ast.get_docstring(tree) or "").split("\n\n", 1)
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    outcomes = {"REFUSED", "MARKED", "WARNED", "ALLOWED", "UNSEEN"} & constants.keys()
    assert len(outcomes) == 1, f"{path.name} states {outcomes or 'no outcome'}"
    assert ("CAUGHT_BY" in constants) == bool(outcomes & {"REFUSED", "MARKED", "WARNED"}), path.name
    caught = ast.literal_eval(constants["CAUGHT_BY"]) if "CAUGHT_BY" in constants else None
    caught = caught or ("allowed" if "ALLOWED" in outcomes else "nobody")
    return Mistake(path.name, title.rstrip("."), " ".join(advice.split()), caught)


def table() -> str:
    """Markdown, one line per mistake."""
    found = sorted(map(read, MISTAKES), key=lambda m: (CATCHERS.index(m.caught_by), m.title))
    lines = [f"| [{m.title}](../tests/privacy/mistakes/{m.file}) | {m.caught_by} | {m.advice} |" for m in found]
    return "\n".join(["| mistake | caught by | what to write instead, or why it passes |", "|---|---|---|", *lines, ""])


def with_table(page: str) -> str:
    """The page with the table as it has to be."""
    return re.sub(f"(?s){BEGIN}.*{END}", lambda _: f"{BEGIN}{table()}{END}", page)


if __name__ == "__main__":
    DOCS.write_text(with_table(DOCS.read_text(encoding="utf-8")), encoding="utf-8")

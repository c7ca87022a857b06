"""Gives the documentation site the files outside docs/ that its pages link to, such as figures of results/reference.

A hook of MkDocs; see mkdocs.yml. On a repository's web page, the same links lead to the files themselves.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)")
"""A link from docs/ to a file beside it."""


def on_files(files: Any, config: Any) -> Any:
    """Adds the linked files to the site, each at its path in the repository."""
    from mkdocs.structure.files import File

    linked = {path for page in DOCS.glob("*.md") for path in OUTSIDE.findall(page.read_text(encoding="utf-8"))}
    for path in sorted(linked):
        files.append(File(path, str(DOCS.parent), config["site_dir"], use_directory_urls=True))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Keeps these links within the site."""
    return OUTSIDE.sub(r"](\1", markdown)

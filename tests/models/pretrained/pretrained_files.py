"""Content of the two files of a fake network, and a helper that writes them."""

from __future__ import annotations

from pathlib import Path

ONE, TWO = b"the parameters", b"the configuration"


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path

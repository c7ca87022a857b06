"""The content of the two files of a made-up network, and a way to put them anywhere."""

from __future__ import annotations

from pathlib import Path

ONE, TWO = b"the parameters", b"the configuration"


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path

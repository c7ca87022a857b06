"""report.html: the template with its style, its scripts and the data, in one file that needs no network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from dpbench.core.files import write_text

HERE = Path(__file__).parent

SCRIPTS = ("elements", "numbers", "state", "leaderboard", "charts", "quality", "samples", "ledgers", "differences",
           "comparability", "commands", "main")  # fmt: skip
"""The scripts, in order: each uses only those before it."""


def write_page(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the page.

    Args:
        path: file to write.
        content: JSON-like values; see `benchmark.report_content.report_content`. NaN becomes null, ∞ the text "inf".

    Raises:
        DpbenchError: the file cannot be written.
    """
    template = Template((HERE / "report.html").read_text(encoding="utf-8"))
    script = "\n".join((HERE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    style = (HERE / "report.css").read_text(encoding="utf-8")
    write_text(path, template.substitute(style=style, script=script, data=embedded(content)))


def embedded(content: Any) -> str:
    """JSON that is safe inside an HTML script: no text can end the script or begin another."""
    text = json.dumps(_plain(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value

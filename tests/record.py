"""What the privacy record of this test's user holds."""

from __future__ import annotations

import json
from typing import Any

from dpbench.core.folders import state_folder
from dpbench.results.privacy_record import FOLDER


def recorded() -> list[dict[str, Any]]:
    """All lines, of all datasets, in the order in which each dataset's were written."""
    files = sorted((state_folder() / FOLDER).glob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]

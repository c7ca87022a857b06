"""The table of presets in docs/methods.md, and the sentence about them in README.md; run this file to write both.

    python docs/preset_table.py

Both say how many private gradients each preset computes on MNIST.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # makes the script work from any folder

from docs.written_part import WrittenPart
from dpbench.benchmark.reporting.tiers import PUBLISHED, Tier, millions, percent, tiers
from dpbench.core.data import DataOptions
from dpbench.core.files import write_text
from dpbench.core.registries import METHODS
from dpbench.data.opening import default_root, open_dataset

ROOT = Path(__file__).parents[1]
DATASET = "mnist"
PRESETS = ("small", "gpu", PUBLISHED)
PART = WrittenPart("preset_table.py")


def counted() -> dict[str, list[Tier]]:
    """Method -> its presets on MNIST, in the order of `PRESETS`."""
    spec = open_dataset(DATASET, DataOptions(default_root())).spec
    found = {name: {t.preset.partition("/")[0]: t for t in tiers(name, DATASET, spec)} for name in METHODS.names()}
    return {name: [of_method[preset] for preset in PRESETS] for name, of_method in found.items()}


def table() -> str:
    """Markdown, one line per method."""
    lines = [f"| `{name}` | {' | '.join(map(_cell, found))} |" for name, found in counted().items()]
    heading = f"| private gradients, in millions | {' | '.join(f'`{preset}`' for preset in PRESETS)} |"
    return "\n".join([heading, "|---" * (1 + len(PRESETS)) + "|", *lines, ""])


def sentence() -> str:
    """The smallest and the largest shares, among the methods that compute gradients."""
    small, gpu = (_range([(found[place].share, name) for name, found in counted().items() if found[-1].gradients])
                  for place in range(2))  # fmt: skip
    return (
        f"On MNIST, `small` computes between {small} of the private gradients (records × views × steps)\n"
        f"that `paper` does, and `gpu` between {gpu}.\n"
    )


def _range(shares: Sequence[tuple[float, str]]) -> str:
    """E.g. "0.04% (`dp-sgd`) and 7% (`wavelet`)"."""
    return " and ".join(f"{percent(share)} (`{name}`)" for share, name in (min(shares), max(shares)))


def pages() -> dict[Path, str]:
    """The two pages with their current contents."""
    parts = {ROOT / "docs" / "methods.md": table(), ROOT / "README.md": sentence()}
    return {path: PART.put(path.read_text(encoding="utf-8"), part) for path, part in parts.items()}


def _cell(tier: Tier) -> str:
    if tier.misfit:
        return "another resolution"
    if not tier.gradients:
        return "none"
    share = "" if tier.preset == PUBLISHED or not tier.published else f" ({percent(tier.share)})"
    return millions(tier.gradients) + share


def main() -> None:
    """Writes both pages."""
    for path, page in pages().items():
        write_text(path, page)


if __name__ == "__main__":
    main()

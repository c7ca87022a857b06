"""The picture and the table at the top of the README, made by one command, the same as in `make demo`.

    python docs/first_screen.py

The command writes to results/ (finished trials are skipped). Its sheet is copied to docs/images/samples.png, with fewer
colours if the file is too large, and its scores go into README.md between two markers. DP noise is secret, so another
run gives slightly different numbers.
"""

from __future__ import annotations

import io
import shlex
import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))  # makes the script work from any folder

from dpbench.benchmark.command_words import given
from dpbench.benchmark.commands.running import Finished, run_request
from dpbench.benchmark.request import RunRequest
from dpbench.cli.display import open_display
from dpbench.cli.options import RUN
from dpbench.core.files import write_atomic, write_text
from dpbench.core.variants import titled
from dpbench.results.rounding import rounded
from dpbench.results.row import CI95

ROOT = Path(__file__).parents[1]
DEMO = RunRequest(methods=("wavelet",), epsilons=(1.0, 5.0, 10.0), samples=3000)
COLUMNS = ("accuracy", "fwd_inf")
START = "<!-- written by docs/first_screen.py -->"
END = "<!-- end of what docs/first_screen.py writes -->"
LARGEST = 300_000  # bytes of the picture


def main(
    readme: Annotated[Path, typer.Option(metavar="FILE", help="page with the markers")] = ROOT / "README.md",
    picture: Annotated[Path, typer.Option(metavar="FILE", help="picture to write")] = ROOT / "docs/images/samples.png",
) -> None:
    """Runs the demo, and renews the picture and the table."""
    write_first_screen(DEMO, readme, picture)


def write_first_screen(request: RunRequest, readme: Path, picture: Path) -> None:
    """Runs `request`, and renews the picture and the text between the markers of the page."""
    before, found, rest = readme.read_text(encoding="utf-8").partition(START)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        sys.exit(f"error: {readme} lacks the markers {START} and {END}")
    with open_display() as display:
        finished = run_request(request, display)
    if finished.sheet is None:
        sys.exit("error: the run left no sheet of samples")
    content = reduced(finished.sheet)
    write_atomic(picture, lambda temporary: temporary.write_bytes(content))
    write_text(readme, f"{before}{START}\n{screen(request, finished)}\n{END}{after}")


def reduced(sheet: Path) -> bytes:
    """The sheet as a PNG file of at most `LARGEST` bytes, with fewer colours if necessary."""
    content = sheet.read_bytes()
    image = Image.open(sheet).convert("RGB")
    for colours in (256, 128, 64, 32, 16):
        if len(content) <= LARGEST:
            return content
        file = io.BytesIO()
        image.quantize(colours).save(file, format="png", optimize=True)
        content = file.getvalue()
    sys.exit(f"error: {sheet} is too large for a page")


def screen(request: RunRequest, finished: Finished) -> str:
    """The table of a run, and its origin."""
    rows = finished.rows.sort_values("reference", key=lambda names: names != "real", kind="stable")
    columns = [name for name in COLUMNS if rows[name].notna().any()]
    lines = [["method", "ε", *columns]]
    lines += [[*labels(row), *(rounded(row[name], row[name + CI95]) for name in columns)] for _, row in rows.iterrows()]
    heading, *body = (f"| {' | '.join(cells)} |" for cells in lines)
    table = "\n".join([heading, "|---" * len(lines[0]) + "|", *body])
    minutes = rows[[name for name in rows if name.startswith("seconds_")]].sum().sum() / 60
    made = rows[rows["reference"] != "real"].iloc[0]
    command = shlex.join(["dpbench", "run", *given(request, *RUN)])
    return (
        f"{table}\n\n`{made['dataset']}`, seed 0, `{made['preset']}` preset, {made['n_samples']:,} samples per row, "
        f"{minutes:.0f} minutes of computing ({made['device']}). Picture and table are made by\n\n```\n{command}\n```"
    )


def labels(row: pd.Series) -> tuple[str, str]:
    """Name and ε of a row."""
    if row["reference"] == "real":
        return "real images", ""
    title = titled(row["method"], row["variant"])
    return title + (", public part alone" if row["reference"] == "public" else ""), f"{row['epsilon']:g}"


if __name__ == "__main__":
    typer.run(main)

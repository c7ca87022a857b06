"""Correctness and cost of dpbench on this GPU, as tables and JSON, in under 12 minutes.

    python perf/gpu.py --out gpu.json --markdown results/reference/gpu.md
    python perf/gpu.py --sections processes,throughput,presets --minutes 5
    python perf/gpu.py --tiny --device cpu

Eight sections: gradients of every engine compared with `vmap(grad)`, the clip with adversarial records, the vault's
noise and samples, a complete trial, a process group, images per second of sampling and scoring, the private phase of
the `gpu` presets, and time and memory of a step compared with plain training. Each section runs in its own process
with its own time limit, and the files are rewritten after each, so a failing section does not affect the others. Checks
skipped for lack of a package, memory or time say so in their cells. Exit code 1 means that a check failed or a section
had no verdict.
"""

from __future__ import annotations

import math
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

import dpbench
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.training.device import resolve_device
from perf._gpu_checks import Setting
from perf._gpu_report import Result, show, verdict, write, write_markdown
from perf._gpu_sections import GRACE, SECTIONS, cells_of


def about(device: str, tiny: bool) -> dict[str, str]:
    """Device, versions and date of the measurement."""
    is_cuda = device.startswith("cuda")
    name = torch.cuda.get_device_name(device) if is_cuda else f"{torch.get_num_threads()} CPU threads"
    versions = {package: version(package) for package in ("torch", "opacus", "diffusers")}
    cuda = {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())} if is_cuda else {}
    form = {"form": "tiny"} if tiny else {}
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"device": name, **form, **versions, **cuda, "dpbench": dpbench.__version__, "date": date}


def main(
    sections: Annotated[str, typer.Option(help="comma-separated names: " + ", ".join(SECTIONS))] = ",".join(SECTIONS),
    device: Annotated[str, typer.Option(help="cuda or cpu; by default cuda if available")] = "",
    tiny: Annotated[bool, typer.Option("--tiny", help="a few small checks, for a CPU")] = False,
    minutes: Annotated[float, typer.Option(help="total time limit; later checks are skipped")] = 12.0,
    out: Annotated[Path, typer.Option(help="JSON file")] = Path("results/gpu.json"),
    markdown: Annotated[Path | None, typer.Option(help="also write the tables to this file")] = None,
) -> None:
    """Runs the sections and prints their tables."""
    end = time.time() + 60 * minutes
    for name in (names := sections.split(",")):
        if name not in SECTIONS:
            raise typer.BadParameter(str(UnknownName("section", name, SECTIONS)))
    try:
        setting = Setting(resolve_device(device or ("cuda" if torch.cuda.is_available() else "cpu")), tiny)
    except DpbenchError as error:
        raise typer.BadParameter(str(error)) from error
    if setting.device == "cpu" and not tiny:
        raise typer.BadParameter("the full checks need a GPU; add --tiny, or name a GPU with --device")
    circumstances = about(setting.device, tiny)
    console = Console(width=None if sys.stdout.isatty() else 160)
    results: list[Result] = []
    for name in names:
        section, start = SECTIONS[name], time.time()
        result = Result(name, section.title)
        results.append(result)
        limit = math.inf if tiny else section.seconds
        for cell in cells_of(section, setting, min(limit, end - start - GRACE)):
            result.cells.append(cell)
        result.seconds = time.time() - start
        show(result, console)
        write(out, circumstances, results)
        if markdown:
            write_markdown(markdown, circumstances, results)
    console.print(f"{verdict([cell for r in results for cell in r.cells])} — {out}", markup=False, highlight=False)
    raise typer.Exit(not all(r.passed for r in results))


if __name__ == "__main__":
    typer.run(main)

"""Time and peak memory of nearest-neighbour votes: python perf/votes.py --records 50000 --candidates 50000.

Records and candidates are random embeddings. Records come in the vault's chunks of 500, so memory does not depend on
their number. Distances are computed for one block of candidates at a time.
"""

from __future__ import annotations

import resource
import time
from typing import Annotated

import torch
import typer

from dpbench.models.nearest_points import nearest_points

CHUNK = 500


def main(
    records: Annotated[int, typer.Option(help="Private records.")] = 50_000,
    candidates: Annotated[int, typer.Option(help="Candidates.")] = 50_000,
    dimension: Annotated[int, typer.Option(help="Dimension of an embedding.")] = 256,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
) -> None:
    """Prints one line: seconds, votes per second, and the memory that distances need besides the embeddings."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(candidates, dimension, generator=generator).to(device)
    queries = torch.randn(records, dimension, generator=generator).to(device)
    before, started = _memory_mb(device), time.perf_counter()
    counts = torch.zeros(candidates, device=device)
    for chunk in queries.split(CHUNK):
        counts += torch.bincount(nearest_points(chunk, points)[:, 0], minlength=candidates)
    assert int(counts.sum()) == records
    seconds = time.perf_counter() - started
    what = f"{records:,} records x {candidates:,} candidates, d = {dimension}, {device}, {threads} threads"
    memory = _memory_mb(device) - before
    print(f"{what}: {seconds:.1f} s, {records / seconds:,.0f} votes per second, {memory:.0f} MB beside embeddings")


def _memory_mb(device: str) -> float:
    """The peak memory so far."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)

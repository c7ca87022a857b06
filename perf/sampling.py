"""Speed-up of the KV cache: autoregressive sampling with the cache and with recomputation of the prefix.

    python perf/sampling.py

The model is the wavelet method's transformer at its default sizes. Both variants draw the same tokens from the same
random numbers. They alternate, and the table shows medians over rounds of the times and of the ratios within a round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dpbench.models.transformer import TokenTransformer, TransformerConfig, draw


@torch.inference_mode()
def recompute(model: TokenTransformer, condition: Tensor, generator: torch.Generator) -> Tensor:
    """`TokenTransformer.sample` without a cache: a full forward pass of the prefix for every token."""
    b, length = len(condition), model.config.length
    uniform = torch.rand(b, length, generator=generator).to(condition.device)
    tokens = torch.zeros(b, length, dtype=torch.long, device=condition.device)
    for t in range(length):
        logits = model(tokens[:, : t + 1], condition)[:, t]
        tokens[:, t] = draw(logits.float().softmax(-1), 1.0, uniform[:, t])
    return tokens


def seconds(sample: Callable[[], Tensor], device: str) -> float:
    start = time.perf_counter()
    sample()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main(
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for torch's default")] = 0,
    rounds: Annotated[int, typer.Option(help="timings per variant")] = 3,
    sequences: Annotated[int, typer.Option(help="batch size")] = 16,
    length: Annotated[list[int] | None, typer.Option(help="tokens per sequence; repeatable")] = None,
) -> None:
    """Prints seconds per call and their ratio for several lengths."""
    if threads:
        torch.set_num_threads(threads)
    title = f"sampling {sequences} sequences on {device}, {torch.get_num_threads()} threads"
    table = Table("tokens", "cache [s]", "recomputed [s]", "ratio", title=title)
    for tokens in length or [16, 64, 256]:
        torch.manual_seed(0)
        model = TokenTransformer(TransformerConfig(256, tokens, 10)).eval().to(device)
        condition = torch.arange(sequences, device=device) % 10

        def cached(model: TokenTransformer = model, condition: Tensor = condition) -> Tensor:
            return model.sample(condition, torch.Generator().manual_seed(0))

        def recomputed(model: TokenTransformer = model, condition: Tensor = condition) -> Tensor:
            return recompute(model, condition, torch.Generator().manual_seed(0))

        cached()  # warms up
        times = [(seconds(cached, device), seconds(recomputed, device)) for _ in range(rounds)]
        fast, slow = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(b / a for a, b in times)
        table.add_row(str(tokens), f"{fast:.3f}", f"{slow:.3f}", f"{ratio:.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)

"""Stored pipelines of diffusers that are used as they are, with all their parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn

from dpbench.core.errors import DataError
from dpbench.core.extras import import_extra


def load_whole(folder: Path, kind: str) -> Any:
    """A stored pipeline, in fp32; downloads nothing.

    Args:
        folder: the pipeline's.
        kind: its class in diffusers, or another one that takes the same parts.

    Raises:
        NotInstalled: it has a text encoder, and the transformers package is missing.
        DataError: a file is missing or damaged, or weights are not finite.
    """
    if (folder / "tokenizer").is_dir():
        import_extra("transformers", "hub").utils.logging.disable_progress_bar()  # dpbench shows its own
    diffusers.utils.logging.disable_progress_bar()
    try:
        pipeline = getattr(diffusers, kind).from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
    except Exception as error:  # the parts belong to several packages
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"cannot load the pipeline in {folder}: {reason}") from error
    if not all(bool(tensor.isfinite().all()) for tensor in weights(pipeline)):
        raise DataError(f"the pipeline in {folder} has weights that are not finite; get it again")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(torch.float32)


def weights(pipeline: Any) -> Iterator[nn.Parameter]:
    """The weights of all networks of a pipeline."""
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            yield from part.parameters()

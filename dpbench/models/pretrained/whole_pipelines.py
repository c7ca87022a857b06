"""Stored pipelines of diffusers that are used unchanged, with all their parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn

from dpbench.core.errors import ConfigError, DataError, reason
from dpbench.core.extras import import_extra
from dpbench.core.files import read_json
from dpbench.models.pretrained.pipeline_folders import pipeline_folder


def stored_pipeline(name: str, kinds: Iterable[str], purpose: str) -> tuple[Path, str]:
    """(folder, class) of a stored pipeline.

    Args:
        name: a folder, or the name of a repository in the hub's cache.
        kinds: the accepted classes.
        purpose: description of such a pipeline, for the message.

    Raises:
        NotInstalled: there is neither.
        ConfigError: it is another kind of pipeline.
        DataError: its class is not declared.
    """
    folder = pipeline_folder(name)
    kind = read_json(folder / "model_index.json").get("_class_name")
    if kind not in kinds:
        raise ConfigError(f"{folder} holds a {kind}; {purpose} is one of {', '.join(kinds)}")
    return folder, kind


def load_whole(folder: Path, kind: str) -> Any:
    """A stored pipeline, in fp32; downloads nothing.

    Args:
        folder: the pipeline's folder.
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
        raise DataError(f"cannot load the pipeline in {folder}: {reason(error)}") from error
    if not all(bool(tensor.isfinite().all()) for tensor in weights(pipeline)):
        raise DataError(f"the pipeline in {folder} has weights that are not finite; get it again")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(torch.float32)


def weights(pipeline: Any) -> Iterator[nn.Parameter]:
    """The weights of all networks of a pipeline."""
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            yield from part.parameters()

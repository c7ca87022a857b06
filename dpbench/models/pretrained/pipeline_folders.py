"""Stored pipelines of diffusers and networks of transformers: where they are, and a hash of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from dpbench.core.errors import NotInstalled
from dpbench.core.files import digest
from dpbench.core.folders import expanded
from dpbench.models.pretrained.finding import sha256

READ = (".json", ".safetensors", ".bin")
"""Suffixes of the files that determine what a pipeline or a network computes."""

VOCABULARIES = (".txt", ".model")
"""Suffixes of further files that determine what a tokenizer does."""

TEXT_ENCODER, TOKENIZER = "text_encoder", "tokenizer"
"""Folders of a pipeline that turn texts into vectors."""


def pipeline_folder(name: str) -> Path:
    """The folder of a stored pipeline; downloads nothing.

    Args:
        name: a folder, or the name of a repository in the hub's cache.

    Raises:
        NotInstalled: there is neither.
    """
    if (folder := expanded(Path(name))).is_dir():
        return folder
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError) as error:
        raise NotInstalled(
            f"there is no folder '{name}', and no repository of this name in the hub's cache; "
            f"name a folder, or run `hf download {name}`"
        ) from error


def pipeline_sha256(name: str) -> str:
    """A hash of the weights and settings of a pipeline, 64 hexadecimal digits.

    Raises:
        NotInstalled: see `pipeline_folder`.
    """
    return _sha256_of(pipeline_folder(name), "*/*", READ)


def pipeline_weights(name: str) -> Mapping[str, str]:
    """The name of a pipeline, and the first 12 digits of `pipeline_sha256`: what a row says of it.

    Raises:
        NotInstalled: see `pipeline_folder`.
    """
    return {Path(name).name: pipeline_sha256(name)[:12]}


def text_folders(name: str) -> tuple[Path, Path]:
    """The folders of a text encoder and of its tokenizer: one for both, or two of the pipeline that they belong to.

    Raises:
        NotInstalled: see `pipeline_folder`.
    """
    folder = pipeline_folder(name)
    is_pipeline = (folder / TEXT_ENCODER).is_dir()
    return (folder / TEXT_ENCODER, folder / TOKENIZER) if is_pipeline else (folder, folder)


def text_sha256(name: str) -> str:
    """A hash of the weights, settings and tokenizer of a text encoder, 64 hexadecimal digits.

    Raises:
        NotInstalled: see `pipeline_folder`.
    """
    first, *others = (_sha256_of(folder, "*", (*READ, *VOCABULARIES)) for folder in dict.fromkeys(text_folders(name)))
    return digest([first, *others], length=64) if others else first


def _sha256_of(folder: Path, pattern: str, types: tuple[str, ...]) -> str:
    files = [path for path in folder.glob(pattern) if path.suffix in types]
    return digest({str(path.relative_to(folder)): sha256(path) for path in files}, length=64)

"""The table of published weights."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dpbench.core.errors import UnknownName
from dpbench.models.pretrained.published import WEIGHTS, named


def test_unknown_name_error_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown weights 'incepton'; did you mean inception\?"):
        named("incepton")


def test_published_files_have_valid_hashes_sizes_and_unique_names() -> None:
    files = [file for each in WEIGHTS.values() for file in each.files]
    assert len({file.name for file in files}) == len(files)
    for file in files:
        assert len(file.sha256) == 64
        assert set(file.sha256) <= set("0123456789abcdef")
        assert file.size > 0
        assert file.url.startswith("https://")
        assert file.url.endswith(file.short)
        assert file.repository is None or file.url.startswith(f"https://huggingface.co/{file.repository.name}/")
    for each in WEIGHTS.values():
        assert len({file.short for file in each.files}) == len(each.files)


def test_listing_and_downloading_do_not_import_torch() -> None:
    code = "import sys, dpbench.models.pretrained.downloads, dpbench.cli.weights; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

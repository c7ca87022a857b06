"""`dpbench list`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from calling import call

from dpbench.core import registry


def test_list_shows_names_and_summaries(tiny: Path) -> None:
    assert re.search(r"^fake +The noisy mean image of all classes\. *$", call("list", "methods").stdout, re.MULTILINE)
    assert "tiny-public" not in call("list", "datasets").stdout
    assert "tiny-public" in call("list", "public").stdout
    assert "brightness" in call("list", "metrics").stdout
    assert "bicubic" in call("list", "refiners").stdout
    assert re.search(r"^wavelet-packet +Haar wavelet packets", call("list", "extractors").stdout, re.MULTILINE)


def test_list_without_a_kind_lists_everything_once(tiny: Path) -> None:
    lines = [line.rstrip() for line in call("list").stdout.splitlines()]
    kinds = ["methods", "datasets", "public", "metrics", "refiners", "extractors"]
    assert [line for line in lines if line in kinds] == kinds
    for name in ("fake", "mnist", "textures", "brightness", "bicubic", "inception"):
        assert sum(line.startswith(f"{name} ") for line in lines) == 1, name


def test_public_sources_are_listed_without_import() -> None:
    assert re.search("^textures +Public source:", call("list", "public").stdout, re.MULTILINE)
    assert "textures" not in call("list", "datasets").stdout


def test_list_shows_import_errors_of_plugins(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "installed_plugins", lambda group: {"broken": "no_such_module:Metric"})
    result = call("list", "metrics")
    assert result.exit_code == 0
    assert "No module named 'no_such_module'" in result.stdout
    assert "brightness" in result.stdout

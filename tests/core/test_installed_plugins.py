"""The package that docs/plugins.md shows, as an installer leaves it: metadata and a module on the search path."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpbench import METHODS
from dpbench.core import registry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plugins.md"


@pytest.fixture
def installed(tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    project = tomllib.loads(block)["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8")
    groups = project["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "dpbench_mean").mkdir()
    shutil.copy(ROOT / "tests" / "plugin_mean.py", tmp_path / "dpbench_mean" / "__init__.py")
    monkeypatch.syspath_prepend(tmp_path)
    registry.installed_plugins.cache_clear()
    yield
    registry.installed_plugins.cache_clear()
    sys.modules.pop("dpbench_mean", None)


def test_an_installed_package_offers_its_plugins(installed: None) -> None:
    assert "mean" in METHODS.names()
    assert "dpbench_mean" not in sys.modules
    assert METHODS.summary("mean") == "The noisy mean image of each class, with pixel noise around it."
    assert METHODS.get("mean").__module__ == "dpbench_mean"  # its decorator does not clash with its entry point

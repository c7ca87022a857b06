"""What `dpbench` itself offers: every name exists, is typed and documented, and nothing heavy is imported for it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dpbench
from dpbench.core.source_code import parse

ROOT = Path(__file__).parent.parent
NAMES = dpbench.__all__
EXAMPLES = [path for path in sorted((ROOT / "tests").glob("*plugin_*.py")) if path.name != "plugin_tiny.py"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_exists(name: str) -> None:
    assert getattr(dpbench, name) is not None


def test_names_are_sorted_and_what_type_checkers_see() -> None:
    assert NAMES == sorted(NAMES) == sorted({*NAMES}) == dir(dpbench)
    assert parse(Path(dpbench.__file__)).lazy == dpbench._HOME
    for module, names in dpbench._NAMES.items():
        assert names == sorted(names), module
    assert [*dpbench._NAMES] == sorted(dpbench._NAMES)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'dpbench' has no attribute 'Methods'"):
        _ = dpbench.Methods


def test_importing_and_listing_needs_no_torch() -> None:
    code = "import sys, dpbench; dir(dpbench); dpbench.Method, dpbench.METHODS, dpbench.option; "
    code += "assert not {'torch', 'numpy', 'pandas'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_documented() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    table = page[page.index("## Names") :].split("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    described = [name for names in rows for name in re.findall(r"`(\w+)", names)]
    assert sorted(described) == [name for name in NAMES if name != "__version__"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_plugins_import_from_dpbench_itself(path: Path) -> None:
    imports = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not [text for text in map(ast.unparse, imports) if "dpbench." in text]


def test_the_mark_for_type_checkers_is_installed() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert "py.typed" in tomllib.load(file)["tool"]["setuptools"]["package-data"]["dpbench"]
    assert (ROOT / "dpbench" / "py.typed").is_file()

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from dpbench.core import registry as module
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.registries import (
    DATASETS,
    EXTRACTORS,
    GENERATORS,
    METHODS,
    METRICS,
    REFINERS,
    TEXT_ENCODERS,
    is_public_only,
)
from dpbench.core.registry import Registry


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder on the module search path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def fresh_entry_points():
    """Clears the cached entry points before and after the test."""
    module.installed_plugins.cache_clear()
    yield
    module.installed_plugins.cache_clear()


def test_names_and_summaries_need_no_import(modules):
    write(modules / "bomb_a.py", "raise RuntimeError('imported')")
    plugins = Registry("method", {"b": ("bomb_a:Class", "The second."), "a": ("bomb_a:Other", "The first.")}, object)
    assert plugins.names() == ["a", "b"]
    assert plugins.summary("b") == "The second."
    assert "bomb_a" not in sys.modules


def test_plugin_is_imported_on_first_access(modules):
    write(modules / "lazy_b.py", "class Plugin: pass")
    plugins = Registry("method", {"lazy": ("lazy_b:Plugin", "")}, object)
    assert "lazy_b" not in sys.modules
    assert plugins.get("lazy") is plugins.get("lazy")
    assert plugins.get("lazy").__name__ == "Plugin"


def test_unknown_name_error_suggests_the_nearest():
    plugins = Registry("metric", {"accuracy": ("x:Y", ""), "fwd": ("x:Z", "")}, object)
    with pytest.raises(UnknownName, match=r"unknown metric 'acuracy'; did you mean accuracy\?"):
        plugins.get("acuracy")
    with pytest.raises(UnknownName, match="unknown metric 'zzz'; known: accuracy, fwd"):
        plugins.get("zzz")
    with pytest.raises(UnknownName, match="known: none"):
        Registry("metric", {}, object).get("zzz")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken_raises", "raise ValueError('no GPU')"),
        ("broken_import", "import no_such_module_at_all"),
        ("broken_syntax", "class Plugin("),
        ("broken_class", "class Other: pass"),
    ],
)
def test_import_error_of_a_plugin_names_the_plugin(modules, name, text):
    write(modules / f"{name}.py", text)
    with pytest.raises(DpbenchError, match=rf"method 'mine' \({name}:Plugin\) cannot be imported: "):
        Registry("method", {"mine": (f"{name}:Plugin", "")}, object).get("mine")


def test_installed_plugins_do_not_replace_built_in_ones(modules, monkeypatch, fresh_entry_points):
    write(modules / "installed_c.py", 'class Plugin:\n    "The extra one.\\n\\nMore."\nclass Impostor: pass')
    points = [
        EntryPoint("extra", "installed_c:Plugin", "dpbench.methods"),
        EntryPoint("own", "installed_c:Impostor", "dpbench.methods"),
    ]
    monkeypatch.setattr(module, "entry_points", lambda group: [p for p in points if p.group == group])
    plugins = Registry("method", {"own": ("installed_c:Plugin", "dpbench's own.")}, object)
    assert plugins.names() == ["extra", "own"]
    assert plugins.get("extra").__name__ == plugins.get("own").__name__ == "Plugin"
    assert (plugins.summary("extra"), plugins.summary("own")) == ("The extra one.", "dpbench's own.")
    assert Registry("metric", {}, object).names() == []


def test_source_is_a_package_with_its_version_or_a_file(modules, monkeypatch, fresh_entry_points):
    write(modules / "installed_d.py", "class Plugin: pass")
    (modules / "my_plugin-1.2.dist-info").mkdir()
    write(modules / "my_plugin-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: my_plugin\nVersion: 1.2\n")
    write(modules / "my_plugin-1.2.dist-info/entry_points.txt", "[dpbench.methods]\nextra = installed_d:Plugin\n")
    write(modules / "mine.py", "class Plugin: pass")
    plugins = Registry("method", {"own": ("dpbench.core.method:Method", "")}, object)
    plugins.register("mine")(importlib.import_module("mine").Plugin)
    plugins.register("typed")(type("Typed", (), {"__module__": "nowhere"}))
    found = {name: plugins.source(name) for name in plugins.names()}
    assert found == {"extra": "my_plugin 1.2", "own": "dpbench", "mine": "file mine.py", "typed": "no file"}


def test_entry_points_are_read_once_per_process(monkeypatch, fresh_entry_points):
    read = []
    monkeypatch.setattr(module, "entry_points", lambda group: read.append(group) or [])
    for kind in ("method", "method", "metric"):
        Registry(kind, {}, object).names()
    assert read == ["dpbench.methods", "dpbench.metrics"]


@pytest.mark.parametrize(
    "plugins", [METHODS, DATASETS, METRICS, REFINERS, EXTRACTORS, TEXT_ENCODERS, GENERATORS], ids=lambda r: r.group
)
def test_built_in_summary_equals_the_first_docstring_line(plugins):
    builtin = [name for name in plugins.names() if plugins.is_builtin(name)]
    assert {name: plugins.summary(name) for name in builtin} == {
        name: inspect.getdoc(plugins.get(name)).partition("\n")[0] for name in builtin
    }


def test_public_only_datasets_are_known_without_import():
    builtin = [name for name in DATASETS.names() if DATASETS.is_builtin(name)]
    assert {name: is_public_only(name) for name in builtin} == {
        name: DATASETS.get(name).public_only for name in builtin
    }
    with pytest.raises(UnknownName, match="did you mean textures"):
        is_public_only("texture")


def test_duplicate_registration_raises_an_error():
    plugins = Registry("method", {"taken": ("x:Y", "")}, object)

    @plugins.register("mine")
    class Mine:
        pass

    assert plugins.get("mine") is Mine
    for name in ("mine", "taken"):
        with pytest.raises(DpbenchError, match=f"method '{name}' is registered already"):
            plugins.register(name)(Mine)
    assert plugins.names() == ["mine", "taken"]


def test_a_cell_that_runs_again_replaces_its_class():
    plugins = Registry("method", {}, object)
    cells = [{"__name__": "__main__"}, {"__name__": "__main__"}]
    for cell in cells:
        exec("class Mine: pass", cell)
        plugins.register("mine")(cell["Mine"])
    assert plugins.get("mine") is cells[1]["Mine"]
    exec("class Other: pass", cells[0])
    with pytest.raises(DpbenchError, match="method 'mine' is registered already"):
        plugins.register("mine")(cells[0]["Other"])


def test_core_and_registries_do_not_import_torch():
    code = """
import sys, pkgutil, importlib, dpbench.core
for m in pkgutil.iter_modules(dpbench.core.__path__):
    importlib.import_module("dpbench.core." + m.name)
from dpbench import METHODS, DATASETS, METRICS, REFINERS
assert all(r.names() for r in (METHODS, DATASETS, METRICS, REFINERS))
loaded = {"torch", "numpy", "pandas", "pydantic", "opacus", "dp_accounting", "scipy"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)

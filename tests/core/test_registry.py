from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import dpbench
from dpbench.core import registry as module
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.registries import DATASETS, EXTRACTORS, METHODS, METRICS, REFINERS, is_public_only
from dpbench.core.registry import Registry, load_plugin_file


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
    plugins = Registry("method", {"b": ("bomb_a:Class", "The second."), "a": ("bomb_a:Other", "The first.")})
    assert plugins.names() == ["a", "b"]
    assert plugins.summary("b") == "The second."
    assert "bomb_a" not in sys.modules


def test_plugin_is_imported_on_first_access(modules):
    write(modules / "lazy_b.py", "class Plugin: pass")
    plugins = Registry("method", {"lazy": ("lazy_b:Plugin", "")})
    assert "lazy_b" not in sys.modules
    assert plugins.get("lazy") is plugins.get("lazy")
    assert plugins.get("lazy").__name__ == "Plugin"


def test_unknown_name_error_suggests_the_nearest():
    plugins = Registry("metric", {"accuracy": ("x:Y", ""), "fwd": ("x:Z", "")})
    with pytest.raises(UnknownName, match=r"unknown metric 'acuracy'; did you mean accuracy\?"):
        plugins.get("acuracy")
    with pytest.raises(UnknownName, match="unknown metric 'zzz'; known: accuracy, fwd"):
        plugins.get("zzz")
    with pytest.raises(UnknownName, match="known: none"):
        Registry("metric", {}).get("zzz")


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
        Registry("method", {"mine": (f"{name}:Plugin", "")}).get("mine")


def test_installed_plugins_do_not_replace_built_in_ones(modules, monkeypatch, fresh_entry_points):
    write(modules / "installed_c.py", 'class Plugin:\n    "The extra one.\\n\\nMore."\nclass Impostor: pass')
    points = [
        EntryPoint("extra", "installed_c:Plugin", "dpbench.methods"),
        EntryPoint("own", "installed_c:Impostor", "dpbench.methods"),
    ]
    monkeypatch.setattr(module, "entry_points", lambda group: [p for p in points if p.group == group])
    plugins = Registry("method", {"own": ("installed_c:Plugin", "dpbench's own.")})
    assert plugins.names() == ["extra", "own"]
    assert plugins.get("extra").__name__ == plugins.get("own").__name__ == "Plugin"
    assert (plugins.summary("extra"), plugins.summary("own")) == ("The extra one.", "dpbench's own.")
    assert Registry("metric", {}).names() == []


def test_entry_points_are_read_once_per_process(monkeypatch, fresh_entry_points):
    read = []
    monkeypatch.setattr(module, "entry_points", lambda group: read.append(group) or [])
    for kind in ("method", "method", "metric"):
        Registry(kind, {}).names()
    assert read == ["dpbench.methods", "dpbench.metrics"]


@pytest.mark.parametrize("plugins", [METHODS, DATASETS, METRICS, REFINERS, EXTRACTORS], ids=lambda r: r.group)
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
    plugins = Registry("method", {"taken": ("x:Y", "")})

    @plugins.register("mine")
    class Mine:
        pass

    assert plugins.get("mine") is Mine
    for name in ("mine", "taken"):
        with pytest.raises(DpbenchError, match=f"method '{name}' is registered already"):
            plugins.register(name)(Mine)
    assert plugins.names() == ["mine", "taken"]


def test_plugin_file_registers_its_plugins(tmp_path, registries):
    load_plugin_file(
        write(tmp_path / "mine.py", "import dpbench\n@dpbench.METHODS.register('from-a-file')\nclass Mine: pass\n")
    )
    assert dpbench.METHODS.get("from-a-file").__name__ == "Mine"


def test_dataclass_annotations_in_a_plugin_file_are_resolved(tmp_path, registries):
    text = """
from __future__ import annotations
from dataclasses import dataclass
import dpbench

@dataclass(frozen=True)
class Config:
    steps: int = dpbench.option(3, "steps")

@dpbench.METHODS.register("annotated")
class Mine:
    Config = Config
"""
    load_plugin_file(write(tmp_path / "annotated.py", text))
    from dpbench.core.config import build

    assert build(dpbench.METHODS.get("annotated").Config, {"steps": "5"}).steps == 5


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("gone.py", None, "does not exist"),
        ("plugin.txt", "x = 1", "is not a Python file"),
        ("syntax.py", "class (", "failed: SyntaxError"),
        ("raises.py", "1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("imports.py", "import no_such_module", "failed: ModuleNotFoundError"),
        (
            "twice.py",
            "import dpbench\n@dpbench.METHODS.register('wavelet')\nclass Mine: pass",
            "method 'wavelet' is registered already",
        ),
    ],
)
def test_invalid_plugin_file_gives_a_one_line_error(tmp_path, registries, name, text, match):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(DpbenchError, match=match) as error:
        load_plugin_file(path)
    assert "\n" not in str(error.value)


def test_folder_as_plugin_file_raises_an_error(tmp_path):
    with pytest.raises(DpbenchError, match="does not exist"):
        load_plugin_file(tmp_path)


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

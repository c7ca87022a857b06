"""Code hashes change with the imported code only."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from edited_files import append, write

import dpbench
from dpbench.core import closure
from dpbench.core.closure import code_hash
from dpbench.core.errors import DpbenchError
from dpbench.core.plugin_files import load_plugin
from dpbench.core.registries import EXTRACTORS, METHODS
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset, Converted, Subset
from dpbench.evaluation.extraction import extract
from dpbench.privacy.private_data import PrivateData


def of_methods() -> dict[str, str]:
    return {name: code_hash(METHODS.get(name), PrivateData) for name in METHODS.names()}


def of_features() -> dict[str, str]:
    return {name: code_hash(EXTRACTORS.get(name), extract) for name in EXTRACTORS.names()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_new_method_changes_no_hash(tree: Path) -> None:
    before = of_methods(), of_features()
    write(tree / "methods" / "another.py", "from dpbench.core.method import Method\n")
    table = tree / "core" / "builtin_plugins.py"
    text = table.read_text()
    assert '    "dp-merf": (' in text
    table.write_text(
        text.replace('    "dp-merf": (', '    "another": ("dpbench.methods.another:X", ""),\n    "dp-merf": (')
    )
    assert (of_methods(), of_features()) == before


def test_edit_changes_hashes_of_importing_modules(tree: Path) -> None:
    methods, features = of_methods(), of_features()
    append(tree / "models" / "transformer.py", "EDITED = 1\n")
    assert changed(methods, of_methods()) == {"dp-ar", "wavelet"}
    assert changed(features, of_features()) == set()


def test_vault_edit_changes_methods_but_not_extractors(tree: Path) -> None:
    methods, features = of_methods(), of_features()
    append(tree / "privacy" / "clipping.py", "EDITED = 1\n")
    assert changed(methods, of_methods()) == {*methods}
    assert changed(features, of_features()) == set()


def test_edit_of_metrics_results_or_cli_changes_no_method(tree: Path) -> None:
    before = of_methods()
    for file in ("metrics/fid.py", "evaluation/evaluator.py", "results/row.py", "cli/run.py", "benchmark/session.py"):
        append(tree / file, "EDITED = 1\n")
    assert of_methods() == before


def test_exported_names_are_traced_to_their_modules(tree: Path, plugin: Callable[..., ModuleType]) -> None:
    for name in set(dpbench.__all__) - {"__version__"}:
        home = dpbench._HOME[name]
        source = tree.joinpath(*home.split(".")[1:]).with_suffix(".py")
        module = plugin(**{f"uses_{name}": f"from dpbench import {name}\n"})
        before, text = code_hash(module), source.read_text()
        append(source, "EDITED = 1\n")
        assert (code_hash(module) == before) == (home in closure.TABLES), name
        source.write_text(text)


@pytest.mark.parametrize("statement", ["import dpbench", "import dpbench as d", "from dpbench import *"])
def test_importing_dpbench_includes_its_exports(tree: Path, plugin: Callable[..., ModuleType], statement: str) -> None:
    module = plugin(a=f"{statement}\n")
    before = code_hash(module)
    append(tree / "training" / "loop.py", "EDITED = 1\n")
    assert code_hash(module) != before


SOURCE = '''"""What it is."""
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import only_for_types

class Plugin:
    """A class."""

    rate: float = 0.1
    """An attribute."""

    def fit(self, x: int = 1) -> int:
        """A function."""
        return x + 1  # more
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# more", "# less"),
        ("  # more", ""),
        ('"""What it is."""\n', ""),
        ("A class.", "A class of its own."),
        ("An attribute.", "Another one."),
        ('        """A function."""\n', ""),
        ("x + 1", "(x\n            + 1)"),
        ("class Plugin", "\n\nclass Plugin"),
        ("import only_for_types", "import only_for_types, others"),
    ],
)
def test_comments_docstrings_layout_and_annotations_are_ignored(
    plugin: Callable[..., ModuleType], tmp_path: Path, old: str, new: str
) -> None:
    module = plugin(a=SOURCE, only_for_types="x = 1\n")
    before = code_hash(module.Plugin)
    write(tmp_path / "plugins" / "a.py", edited(SOURCE, old, new))
    write(tmp_path / "plugins" / "only_for_types.py", "x = 2\n")
    assert code_hash(module.Plugin) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.1", "-0.1"), ("x + 1", "x - 1"), ("x: int = 1", "x: int = 2"), ("x: int", "x: float"), ("rate", "share")],
)
def test_other_edits_change_the_hash(plugin: Callable[..., ModuleType], tmp_path: Path, old: str, new: str) -> None:
    module = plugin(a=SOURCE)
    before = code_hash(module.Plugin)
    write(tmp_path / "plugins" / "a.py", edited(SOURCE, old, new))
    assert code_hash(module.Plugin) != before


def edited(source: str, old: str, new: str) -> str:
    assert old in source
    ast.parse(source.replace(old, new))
    return source.replace(old, new)


@pytest.mark.parametrize(
    "statement",
    [
        "import beside", "import beside as b", "from beside import x", "from beside import *",
        "def f():\n    import beside", "class A:\n    from beside import x",
        "try:\n    import beside\nexcept OSError: ...",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING: ...\nelse:\n    import beside", "import middle",
    ],
)  # fmt: skip
def test_neighbour_of_a_plugin_changes_the_hash(
    plugin: Callable[..., ModuleType], tmp_path: Path, statement: str
) -> None:
    module = plugin(a=f"{statement}\n", beside="x = 1\n", middle="import beside\n", unrelated="x = 1\n")
    before = code_hash(module)
    write(tmp_path / "plugins" / "unrelated.py", "x = 2\n")
    assert code_hash(module) == before
    write(tmp_path / "plugins" / "beside.py", "x = 2\n")
    assert code_hash(module) != before


@pytest.mark.parametrize(
    "statement",
    [
        "from . import other", "from .other import x", "from .. import low", "from ..low import x", "import p.q.other",
        "from p.q import other", "from p import low", "from p import q", "import beside",
    ],
)  # fmt: skip
def test_plugin_package_changes_the_hash(plugin: Callable[..., ModuleType], tmp_path: Path, statement: str) -> None:
    files = {"p__low": "x = 1\n", "p__q__other": "x = 1\n", "beside": "x = 1\n"}
    module = plugin(p__q__a=f"{statement}\n", p____init__="", p__q____init__="y = 1\n", **files)
    before = code_hash(module)
    counting = next((name for name in files if name.rpartition("__")[2] in statement), "p__q____init__")
    write(tmp_path / "plugins" / f"{counting.replace('__', '/', counting.count('__'))}.py", "x = 2\n")
    if counting == "p__q____init__":
        write(tmp_path / "plugins" / "p" / "q" / "__init__.py", "y = 2\n")
    assert code_hash(module) != before


def test_base_class_in_another_file_changes_the_hash(plugin: Callable[..., ModuleType], tmp_path: Path) -> None:
    """The base class changes the hash even without an import statement."""
    plugin(base="class Base: ...\n")
    module = plugin(a='import sys\nclass A(sys.modules["base"].Base): ...\n')
    before = code_hash(module.A)
    write(tmp_path / "plugins" / "base.py", "class Base:\n    x = 1\n")
    assert code_hash(module.A) != before


def test_captured_variables_change_the_hash(plugin: Callable[..., ModuleType], tmp_path: Path) -> None:
    module = plugin(a="class A:\n    def make(self, x=None): return x\n", b="def b(): ...\n")
    other = plugin(b="def b(): ...\n")
    a, b = module.A(), other.b
    nested = [{"b": (b,)}]
    makers: list[tuple[Any, str]] = [
        (lambda: a, "a"), (a.make, "a"), (partial(a.make), "a"), (partial(print, end=a), "a"), (lambda x=a: x, "a"),
        (lambda: b, "b"), (partial(a.make, b), "b"), (lambda: nested, "b"),
    ]  # fmt: skip
    for make, file in makers:
        path = tmp_path / "plugins" / f"{file}.py"
        before, text = code_hash(make), path.read_text()
        append(path, "x = 1\n")
        assert code_hash(make) != before
        write(path, text)


def test_image_decoding_code_changes_the_hash(plugin: Callable[..., ModuleType], tmp_path: Path) -> None:
    spec = DatasetSpec("d", 1, 2, 3, 0, None, True)
    images = ArrayDataset(spec, np.zeros((3, 1, 2, 2), np.uint8), None)
    inner = Converted(images, spec, plugin(decode="def decode(x): return x\n").decode, "key")
    outer = Subset(inner, [0, 1])
    before = code_hash(lambda: outer)
    append(tmp_path / "plugins" / "decode.py", "x = 1\n")
    assert code_hash(lambda: outer) != before


def test_self_capturing_function_terminates() -> None:
    def count(n: int) -> int:
        return n and count(n - 1)

    assert code_hash(count)


def test_installed_packages_do_not_change_the_hash(plugin: Callable[..., ModuleType], tmp_path: Path) -> None:
    module = plugin(a="import math, torch, json\nclass A(torch.nn.Module): ...\n")
    assert {name for root in closure._roots([module.A]) for name in closure._closure(root)} == {"a"}


def test_package_of_an_installed_plugin_changes_the_hash(as_started: None, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    for name, text in {"p/__init__": "", "p/a": "import p.b, torch, q", "p/b": "", "q": "", "torch": ""}.items():
        write(site / f"{name}.py", text)
    assert closure._closure(closure.Module("p.a", site / "p" / "a.py")).keys() == {"p", "p.a", "p.b"}


def test_missing_or_invalid_source_gives_a_one_line_error(plugin: Callable[..., ModuleType], tmp_path: Path) -> None:
    module = plugin(a="import beside\n", beside="x = 1\n")
    write(tmp_path / "plugins" / "beside.py", "x = = 1\n")
    with pytest.raises(DpbenchError, match=r"beside\.py .*invalid syntax") as error:
        code_hash(module)
    assert "\n" not in str(error.value)
    (tmp_path / "plugins" / "a.py").unlink()
    with pytest.raises(DpbenchError, match=r"a\.py .*No such file"):
        code_hash(module)


def test_file_changed_after_start_gets_a_process_specific_hash(
    plugin: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The code in memory may be that of the file before the change."""
    module = plugin(a="class A: ...\n")
    unchanged = code_hash(module.A)
    monkeypatch.setattr(closure, "STARTED", 0.0)
    mine = code_hash(module.A)
    assert mine != unchanged
    assert mine == code_hash(module.A)  # attempts in the same process resume
    old = module.A
    assert code_hash(importlib.reload(module).A) != mine == code_hash(old)


def test_code_without_a_file_gets_a_process_specific_hash() -> None:
    names: list[dict[str, Any]] = [{"__name__": "notebook"}, {"__name__": "notebook"}]
    for name in names:
        exec("class A: ...", name)
    first, second = (code_hash(name["A"]) for name in names)
    assert first != second
    assert first == code_hash(names[0]["A"])


def test_hash_is_independent_of_process_folder_and_torch(as_started: None, registries: None, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dpbench.core import closure, plugin_files\n"
        "closure.STARTED = float('inf')\n"
        "plugin = plugin_files.load_plugin(Path(sys.argv[1]))\n"
        "print(closure.code_hash(plugin.A, 'dpbench.methods.dp_merf'))\n"
        "assert 'torch' not in sys.modules\n"
    )
    hashes = set()
    for folder in ("one", "two"):
        text = "from dpbench import REFINERS, Refiner\n@REFINERS.register('a')\nclass A(Refiner):\n    refine = None\n"
        write(tmp_path / folder / "a.py", text)
        command = [sys.executable, "-c", program, str(tmp_path / folder / "a.py")]
        hashes.add(subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout.strip())
    assert hashes == {code_hash(load_plugin(tmp_path / "one" / "a.py").A, "dpbench.methods.dp_merf")}

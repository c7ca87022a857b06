"""README and docs say what is true of the tree: examples, links, paths, commands, names."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pkgutil
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import dpbench
from dpbench import DATASETS, EXTRACTORS, GENERATORS, METHODS, METRICS, REFINERS, TEXT_ENCODERS, RunRequest
from dpbench.benchmark.configure import configure
from dpbench.benchmark.experiment import read_experiment
from dpbench.benchmark.public_choice import candidates
from dpbench.benchmark.trials.schedule import check_requests
from dpbench.benchmark.trials.scoring import chosen_metrics
from dpbench.cli import app
from dpbench.models.pretrained.published import WEIGHTS
from dpbench.results.row import FIELDS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLUGINS = sorted((ROOT / "tests").glob("plugin_*.py"))
HELPERS = {"plugin_tiny.py", "plugin_choice.py"}  # the first registers the fakes, the second is linked
GROUPS = {registry.group for registry in (METHODS, DATASETS, METRICS, REFINERS, EXTRACTORS, TEXT_ENCODERS, GENERATORS)}

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOLDERS = "dpbench|docs|experiments|perf|tests|results/reference"
PATH = re.compile(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./-]*\w")
NAME = re.compile(r"(?<![\w/.-])dpbench(?:\.[A-Za-z_]\w*)+")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return [content for found, content in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def spans(page: Path) -> list[str]:
    """Code between backticks in running text."""
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", page.read_text(encoding="utf-8")))


def commands(page: Path) -> Iterator[list[str]]:
    """The command lines of a page, as lists of words; comments are left out."""
    for line in [line for block in blocks(page, "") for line in block.splitlines()] + spans(page):
        if line.startswith(("dpbench ", "python ", "torchrun ")):
            yield shlex.split(line, comments=True)


def arguments(words: list[str]) -> list[str] | None:
    """What follows `dpbench`, also where torchrun starts it; None for other programs."""
    if words[0] == "torchrun":
        return words[words.index("dpbench") + 1 :]
    return words[1:] if words[0] == "dpbench" else None


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def parse(program: Any, words: list[str]) -> dict[str, Any]:
    """The parameters of the last command that the words lead to.

    Raises:
        ClickException: a command or an option does not exist, or something is missing.
    """
    context = program.make_context(program.name, list(words))
    if not hasattr(program, "commands"):
        return context.params
    _, command, rest = program.resolve_command(context, [*context._protected_args, *context.args])
    return parse(command, rest) if rest or not hasattr(command, "commands") else {}


def load(script: Path) -> ModuleType:
    name = f"docs_{script.stem}"
    spec = importlib.util.spec_from_file_location(name, script)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program_of(function: Any) -> Any:
    single = typer.Typer()
    single.command()(function)
    return typer.main.get_command(single)


@pytest.mark.parametrize("plugin", [p for p in PLUGINS if p.name not in HELPERS], ids=lambda plugin: plugin.name)
def test_the_plugins_that_the_docs_show_are_the_tested_ones(plugin: Path) -> None:
    source = plugin.read_text(encoding="utf-8")
    assert any(source in blocks(page, "python") for page in PAGES)
    assert len(source.splitlines()) <= 66


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pages
def test_paths_exist(page: Path) -> None:
    found = PATH.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    found += [path for block in blocks(page, "") for path in PATH.findall(block)]
    assert [path for path in found if not (ROOT / path).exists()] == []


@pages
def test_names_of_the_package_exist(page: Path) -> None:
    for name in set(NAME.findall(page.read_text(encoding="utf-8"))) - GROUPS:
        pkgutil.resolve_name(name)


@pages
def test_commands_parse(page: Path) -> None:
    program = typer.main.get_command(app)
    for words in filter(None, map(arguments, commands(page))):
        if len(words) > 1:
            parse(program, words)
        else:
            assert words[0] in program.commands, words


@pages
def test_runs_ask_for_what_exists(page: Path) -> None:
    for words in filter(None, map(arguments, commands(page))):
        if words[0] != "run" or {"--plugin", "--config"} & {*words} or len(words) == 1:
            continue
        parsers = {field.name: field.metadata["parse"] for field in fields(RunRequest)}
        parsed = parse(typer.main.get_command(app), words)
        given = {k: v for k, v in parsed.items() if k in parsers and v is not None}
        request = RunRequest(**{name: parsers[name](v) if parsers[name] else v for name, v in given.items()})
        configure(request.methods, request.dataset, request.preset, request.settings, request.public)
        chosen_metrics(request)
        several = candidates(request.public)
        for dataset in (request.dataset, *(several.names if several else (request.public,))):
            DATASETS.get(dataset.partition(":")[0])


@pages
def test_experiment_files_ask_for_what_exists(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "toml")):
        if "methods = " in text:
            path = tmp_path / f"{number}.toml"
            path.write_text(text, encoding="utf-8")
            check_requests(read_experiment(path, {"data": tmp_path}))


@pages
def test_scripts_have_the_options_that_are_shown(page: Path) -> None:
    for words in commands(page):
        if words[0] == "python":
            script = ROOT / words[1]
            assert script.is_file(), words
            if len(words) > 2:
                parse(program_of(load(script).main), words[2:])


@pages
def test_other_snippets_call_what_exists(page: Path) -> None:
    options = {field.name for field in fields(RunRequest)}
    for block in blocks(page, "python"):
        for call in (node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if name.startswith("dpbench."):
                function = pkgutil.resolve_name(name)
                known = options | set(inspect.signature(function).parameters)
                assert {keyword.arg for keyword in call.keywords} <= known, name


def test_every_page_is_listed() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        if page.name != "README.md":
            assert f"({page.name})" in index
            assert f"(docs/{page.name})" in readme


def test_every_built_in_plugin_and_column_is_described() -> None:
    described = {
        "methods": [
            *METHODS.names(),
            *(f"refiner.name={name}" for name in REFINERS.names()),
            *(f"text.name={name}" for name in TEXT_ENCODERS.names()),
            *(f"generator.name={name}" for name in GENERATORS.names()),
        ],
        "installing": [*DATASETS.names(), *WEIGHTS],
        "metrics": [
            *(field.name for field in FIELDS),
            *(c.name for m in METRICS.names() for c in METRICS.get(m).columns),
        ],
    }
    for name, words in described.items():
        mentioned = set(spans(ROOT / "docs" / f"{name}.md"))
        assert [word for word in words if not {word, f"{word}:PATH", f"{word}:NAME"} & mentioned] == []


def test_the_readme_starts_with_what_a_visitor_wants() -> None:
    first = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:60])
    assert "![" in first
    assert "|---|" in first
    assert "make demo" in first
    assert "make test" in first
    assert (ROOT / "docs" / "images" / "samples.png").stat().st_size < 300_000


def test_the_version_is_the_same_everywhere() -> None:
    assert f"\nversion: {dpbench.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")

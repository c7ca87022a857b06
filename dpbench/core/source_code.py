"""What one Python source file contributes to a hash of code: its normalised content, and its import statements."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dpbench.core.errors import DpbenchError


class Import(NamedTuple):
    """An import statement.

    Attributes:
        level: number of leading dots.
        module: the name after the dots.
        names: the names imported from it; ("*",) for all, also if the module itself is bound to a name.
    """

    level: int
    module: str
    names: tuple[str, ...]

    def absolute(self, package: str) -> str:
        """The module's full name, seen from a module of `package`."""
        if not self.level:
            return self.module
        parts = package.split(".")
        return ".".join([*parts[: len(parts) - self.level + 1], *filter(None, [self.module])])


class Source(NamedTuple):
    """A source file.

    Attributes:
        code: hash of its content without comments, docstrings, layout and code for type checkers only.
        imports: its import statements at any depth, except those for type checkers only.
        lazy: name -> module of its imports for type checkers only. In a package, these are the names that it imports on
            first use.
        changed: when it was last changed, in seconds since 1970.
    """

    code: str
    imports: tuple[Import, ...]
    lazy: Mapping[str, str]
    changed: float


def parse(path: Path) -> Source:
    """Reads a source file; a file other than Python source is hashed by its bytes.

    Raises:
        DpbenchError: the file is gone or is not valid Python.
    """
    try:
        stat = path.stat()
        return _parse(path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
    except (OSError, SyntaxError, ValueError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "msg", None) or error
        raise DpbenchError(
            f"cannot read {path} ({reason}): results are stored by the code that made them; put the file back, or "
            "start again without it"
        ) from error


@cache
def _parse(path: Path, modified_ns: int, changed_ns: int, size: int) -> Source:
    content, changed = path.read_bytes(), max(modified_ns, changed_ns) / 1e9
    if path.suffix != ".py":
        return Source(hashlib.sha256(content).hexdigest(), (), {}, changed)
    strip = _Stripped()
    tree = strip.visit(ast.parse(content))
    code = hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()
    return Source(code, tuple(_imports(tree)), strip.lazy, changed)


class _Stripped(ast.NodeTransformer):
    """Removes code that no result depends on: docstrings, and code for type checkers only."""

    def __init__(self) -> None:
        self.lazy: dict[str, str] = {}

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """A string on its own does nothing."""
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        """Of `if TYPE_CHECKING`, only the `else` branch runs."""
        name = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", None)
        if name != "TYPE_CHECKING":
            return self.generic_visit(node)
        for statement in node.body:
            if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
                self.lazy |= {alias.asname or alias.name: statement.module for alias in statement.names}
        return [self.visit(statement) for statement in node.orelse]


def _imports(tree: ast.AST) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield Import(node.level, node.module or "", tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                yield from (Import(0, alias.name, ()), Import(0, bound, ("*",)))

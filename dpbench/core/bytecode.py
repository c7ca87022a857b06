"""The code of a class that has no source file, such as a notebook's: its compiled functions and plain attributes."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

PLAIN = (int, float, str, bytes, bool, type(None))


def compiled(cls: type) -> list[Any]:
    """The content of a class, as JSON-like values. Names that its functions refer to are not followed."""
    return [cls.__qualname__, *([name, *_parts(value)] for name, value in sorted(vars(cls).items()))]


def _parts(value: Any) -> Iterator[Any]:
    value = getattr(value, "__func__", getattr(value, "fget", value))  # of a class method, static method or property
    if isinstance(value, FunctionType):
        yield from (_code(value.__code__), list(_parts(value.__defaults__)))
    elif isinstance(value, tuple):
        yield from (list(_parts(item)) for item in value)
    elif isinstance(value, PLAIN):
        yield repr(value)


def _code(code: CodeType) -> list[Any]:
    constants = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return [code.co_code.hex(), code.co_names, constants]

"""Values of declared types, from Python callers and from files: one that does not fit is an error in one line."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from numbers import Real
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dpbench.core.errors import ConfigError
from dpbench.core.typed_json import first_problem

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def as_declared(name: str, hint: Any, value: Any) -> Any:
    """The value as its type declares it: "3" is the integer 3, and a text the path of that name.

    For a sequence, a lone text, number or path is a list of one, and other iterables become tuples.

    Args:
        name: what the error calls it.
        hint: the type.
        value: the value.

    Raises:
        ConfigError: it does not fit the type.
    """
    from pydantic import ValidationError

    if is_sequence(hint) and not (value is None and type(None) in typing.get_args(hint)):
        value = _as_tuple(name, value)
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"{name}: {first_problem(error)}") from error


def is_sequence(hint: Any) -> bool:
    """Whether a type is `Sequence[...]`, or allows one: `Sequence[...] | None`."""
    return any(typing.get_origin(kind) is Sequence for kind in (hint, *typing.get_args(hint)))


def _as_tuple(name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, str | Real | PurePath):
        return (value,)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise ConfigError(f"{name}: input should be a list, not {value!r}")
    return tuple(value)


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(hint)

"""Reading JSON files whose structure is declared: a damaged file is an error that names the damage."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dpbench.core.errors import DataError
from dpbench.core.files import reading

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


def read_typed(path: Path, kind: type[T]) -> T:
    """The content of a JSON file.

    Args:
        kind: a dataclass. Unknown entries, entries of another type and numbers that are not finite are refused.

    Raises:
        DpbenchError: the file is missing or damaged; the message names it.
    """
    from pydantic import ValidationError

    with reading(path):
        content = path.read_bytes()
    try:
        return _adapter(kind).validate_json(content)  # type: ignore[arg-type]
    except ValidationError as error:
        raise DataError(f"{path} is damaged ({first_problem(error)})") from error


def first_problem(error: Any) -> str:
    """The first problem of a pydantic `ValidationError`, in a few words."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return ": ".join(filter(None, [place, problem["msg"].lower()]))


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter, with_config

    strict = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    return TypeAdapter(with_config(strict)(kind))

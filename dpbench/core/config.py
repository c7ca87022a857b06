"""Plugin configuration: frozen dataclasses with a help text per field, built from `key=value` settings.

    @dataclass(frozen=True)
    class Config:
        steps: int = option(200, "private training steps", low=1)
        refiner: Choice = plugin_option("regression", REFINERS, "detail stage")

`build(Config, {"steps": "300", "refiner.name": "bicubic"})` validates names, types and ranges; pydantic converts the
values.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from dpbench.core.errors import ConfigError, UnknownName
from dpbench.core.ranges import Range
from dpbench.core.registry import Registry

T = TypeVar("T")


def option(
    default: T,
    help: str,
    *,
    low: float = -math.inf,
    above: float = -math.inf,
    high: float = math.inf,
    below: float = math.inf,
    named: Registry[Any] | None = None,
) -> T:
    """A configuration field with its default value and the help text that `dpbench show` prints.

    Args:
        default: its default.
        help: what it means, in one line.
        low: inclusive lower bound. Bounds apply to a number, or to each number in a tuple. Numbers must be finite in
            any case.
        above: exclusive lower bound.
        high: inclusive upper bound.
        below: exclusive upper bound.
        named: the registry of plugins, if the value may name one: a trial depends on that plugin's code as on the
            method's.
    """
    return field(default=default, metadata={"help": help, "range": Range(low, above, high, below), "named": named})


@dataclass(frozen=True)
class NoSettings:
    """The configuration of a plugin without settings."""


@dataclass(frozen=True)
class Choice:
    """A plugin selected in a configuration: its name and its own configuration."""

    name: str
    config: Any = None


def plugin_option(default: str, registry: Registry[Any], help: str) -> Choice:
    """A field `f` set by `f.name=NAME` and `f.KEY=VALUE`, where KEY is a field of the selected plugin's `Config`."""
    return field(
        default_factory=lambda: Choice(default, build(registry.get(default).Config, {})),
        metadata={"help": help, "registry": registry, "default": default},
    )


def parse_settings(settings: Iterable[str]) -> dict[str, str]:
    """["a=1", "b.c=x"] -> {"a": "1", "b.c": "x"}.

    Raises:
        ConfigError: an item has no "=".
    """
    parsed = {}
    for item in settings:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"'{item}' is not a setting; write key=value, e.g. --set steps=200")
        parsed[key.strip()] = value.strip()
    return parsed


def build(config: type[T], settings: Mapping[str, Any], start: T | None = None) -> T:
    """An instance of the dataclass `config`, with `settings` overriding its defaults or the values of `start`.

    Args:
        config: the dataclass.
        settings: field name -> value, either of the field's type or a string to parse. Fields made with `plugin_option`
            take dotted keys; a plugin other than that of `start` starts from its own defaults.
        start: instance whose values are the defaults.

    Raises:
        UnknownName: the dataclass (or that of the selected plugin) has no such field.
        ConfigError: a value has the wrong type or is out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(config)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(config)
    values: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        head, dot, rest = key.partition(".")
        if head not in fields:
            raise UnknownName("setting", head, fields)
        is_plugin = "registry" in fields[head].metadata
        if is_plugin and isinstance(value, Choice):
            values[head] = value
        elif is_plugin:
            nested.setdefault(head, {})[rest or "name"] = value
        elif dot:
            raise ConfigError(f"setting '{key}' does not exist: '{head}' has no settings of its own")
        else:
            values[head] = _coerce(key, hints[head], value)
            _check_range(f"setting {key}={value}", values[head], _range_of(fields[head]))
    for name, parts in nested.items():
        metadata = fields[name].metadata
        before = Choice(metadata["default"]) if start is None else getattr(start, name)
        chosen = parts.pop("name", before.name)
        below = before.config if chosen == before.name else None
        values[name] = Choice(chosen, build(metadata["registry"].get(chosen).Config, parts, below))
    return config(**values) if start is None else dataclasses.replace(start, **values)  # type: ignore[type-var]


def _coerce(key: str, hint: Any, value: Any) -> Any:
    from pydantic import TypeAdapter, ValidationError

    type_ = TypeAdapter(hint)
    if isinstance(value, str) and value in ("null", "none", "None"):
        with contextlib.suppress(ValidationError):  # a field that does not accept None may accept the word
            return type_.validate_python(None)
    if isinstance(value, str) and value.startswith(("[", "{")):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ConfigError(f"setting {key}={value} is not valid JSON: {error}") from error
    try:
        return type_.validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise ConfigError(f"setting {key}={value}: {problem[0].lower()}{problem[1:]} ({type_name(hint)})") from error


def _check_range(what: str, value: Any, allowed: Range) -> None:
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int | float) and number not in allowed:
            raise ConfigError(f"{what} must lie in {allowed}")


def _range_of(f: dataclasses.Field[Any]) -> Range:
    found: Range = f.metadata.get("range", Range())
    return found


def type_name(hint: Any) -> str:
    """The readable name of a type: "int", "float | None", "'a' | 'b'"."""
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(map(repr, typing.get_args(hint)))
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


class Described(NamedTuple):
    """One field in the description of a configuration. The type includes the range: "float in (0, 1]"."""

    key: str
    type: str
    value: Any
    help: str


def describe(config: Any, prefix: str = "") -> Iterator[Described]:
    """All fields of a configuration with type, value and help; the fields of a selected plugin follow its own."""
    hints = typing.get_type_hints(type(config))
    for f in dataclasses.fields(config):
        value, help = getattr(config, f.name), f.metadata.get("help", "")
        if isinstance(value, Choice):
            names = " | ".join(f.metadata["registry"].names())
            yield Described(f"{prefix}{f.name}.name", names, value.name, help)
            yield from describe(value.config, f"{prefix}{f.name}.")
        else:
            allowed = f" in {_range_of(f)}" if _range_of(f).is_bounded else ""
            yield Described(f"{prefix}{f.name}", type_name(hints[f.name]) + allowed, value, help)


def as_settings(config: Any, prefix: str = "") -> dict[str, Any]:
    """The configuration as flat settings, from which it can be rebuilt: `build(type(c), as_settings(c)) == c`."""
    settings: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        key, value = f"{prefix}{f.name}", getattr(config, f.name)
        if isinstance(value, Choice):
            settings |= {f"{key}.name": value.name} | as_settings(value.config, f"{key}.")
        else:
            settings[key] = value
    return settings


def values_of(config: Any, *parts: type[Any]) -> dict[str, Any]:
    """The settings that a configuration has from these dataclasses: name -> value."""
    return {f.name: getattr(config, f.name) for part in parts for f in dataclasses.fields(part)}


def changes(start: Any, config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The (key, value) settings that turn `start` into `config`: `build(type(c), dict(changes(s, c)), s) == c`."""
    for f in dataclasses.fields(config):
        key, before, after = f"{prefix}{f.name}", getattr(start, f.name), getattr(config, f.name)
        if not isinstance(after, Choice):
            if after != before:
                yield key, after
        elif after.name == before.name:
            yield from changes(before.config, after.config, f"{key}.")
        else:
            yield f"{key}.name", after.name
            yield from changes(build(type(after.config), {}), after.config, f"{key}.")

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from typing import Literal

import pytest

from dpbench.core.config import (
    Choice,
    as_settings,
    build,
    changes,
    describe,
    option,
    parse_settings,
    plugin_option,
    type_name,
    values_of,
)
from dpbench.core.errors import ConfigError, UnknownName
from dpbench.core.registry import Registry

PARTS: Registry = Registry("part", {}, object)


@dataclass(frozen=True)
class PlainConfig:
    strength: float = option(0.5, "how strong")


@dataclass(frozen=True)
class BoxConfig:
    inner: Choice = plugin_option("plain", PARTS, "what is inside")
    size: int = option(3, "how large")


@PARTS.register("plain")
class Plain:
    Config = PlainConfig


@PARTS.register("box")
class Box:
    Config = BoxConfig


@dataclass(frozen=True)
class Config:
    """A configuration with every kind of field."""

    steps: int = option(200, "training steps")
    rate: float = option(1e-3, "learning rate")
    flip: bool = option(True, "whether to flip")
    mode: Literal["none", "fast"] = option("fast", "how to go")
    label: str = option("x", "any text")
    limit: float | None = option(None, "upper bound, if any")
    widths: tuple[int, ...] = option((8, 16), "layer widths")
    part: Choice = plugin_option("plain", PARTS, "which part")


@dataclass(frozen=True)
class Ranged:
    """Numbers with and without bounds."""

    share: float = option(0.5, "a share", above=0, high=1)
    dims: tuple[int, ...] = option((4,), "sizes", low=1, below=100)
    rate: float | None = option(1e-3, "any number")
    part: Choice = plugin_option("plain", PARTS, "which part")
    plain: float = 1.0


def test_no_settings_give_the_defaults():
    config = build(Config, {})
    assert (config.steps, config.limit, config.widths) == (200, None, (8, 16))
    assert config.part == Choice("plain", PlainConfig(0.5))


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("steps", "300", 300),
        ("rate", "2e-4", 2e-4),
        ("rate", "1", 1.0),
        ("flip", "false", False),
        ("mode", "fast", "fast"),
        ("mode", "none", "none"),  # a string here, not None
        ("label", "none", "none"),
        ("label", "7", "7"),
        ("limit", "2.5", 2.5),
        ("limit", "none", None),
        ("limit", "null", None),
        ("widths", "[4, 5, 6]", (4, 5, 6)),
        ("widths", "[]", ()),
    ],
)
def test_texts_are_parsed_to_the_field_type(key, text, value):
    found = getattr(build(Config, {key: text}), key)
    assert found == value
    assert type(found) is type(value)


def test_values_of_the_field_type_are_kept():
    settings = {"steps": 7, "limit": None, "widths": (1, 2), "part": Choice("plain", PlainConfig(0.1))}
    config = build(Config, settings)
    assert (config.steps, config.limit, config.widths, config.part.config.strength) == (7, None, (1, 2), 0.1)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("steps", "many", r"setting steps=many: .*integer.*\(int\)"),
        ("steps", "2.5", "setting steps=2.5"),
        ("rate", "fast", "float"),
        ("flip", "perhaps", "bool"),
        ("mode", "slow", "'none' or 'fast'"),
        ("widths", "8", r"widths=8: .*tuple"),
        ("widths", "[1, x]", "not valid JSON"),
        ("widths", '["a"]', "integer"),
        ("steps", "none", "steps=none"),
    ],
)
def test_wrong_type_error_names_key_and_value(key, value, match):
    with pytest.raises(ConfigError, match=match) as error:
        build(Config, {key: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("share", "nan", "(0, 1]"),
        ("share", "inf", "(0, 1]"),
        ("share", "0", "(0, 1]"),
        ("share", -1.0, "(0, 1]"),
        ("share", "1.5", "(0, 1]"),
        ("dims", "[4, 0]", "[1, 100)"),
        ("dims", (100,), "[1, 100)"),
        ("rate", "nan", "(-∞, ∞)"),
        ("rate", "-inf", "(-∞, ∞)"),
        ("plain", "inf", "(-∞, ∞)"),
        ("part.strength", "nan", "(-∞, ∞)"),
    ],
)
def test_number_out_of_range_raises_an_error_that_names_the_range(key, value, allowed):
    with pytest.raises(ConfigError) as error:
        build(Ranged, {key: value})
    assert str(error.value) == f"setting {key.rpartition('.')[2]}={value} must lie in {allowed}"


def test_bounds_are_in_the_range_where_they_are_included():
    config = build(Ranged, {"share": "1", "dims": "[1, 99]", "rate": "none"})
    assert (config.share, config.dims, config.rate) == (1.0, (1, 99), None)
    assert {line.key: line.type for line in describe(config)} == {
        "share": "float in (0, 1]",
        "dims": "tuple[int, ...] in [1, 100)",
        "rate": "float | None",
        "part.name": "box | plain",
        "part.strength": "float",
        "plain": "float",
    }


def test_unknown_key_error_suggests_the_nearest():
    with pytest.raises(UnknownName, match=r"unknown setting 'step'; did you mean steps"):
        build(Config, {"step": "3"})
    with pytest.raises(UnknownName, match="known: flip, label, limit"):
        build(Config, {"qqqqqq": "3"})


def test_nested_key_of_a_plain_field_raises_an_error():
    with pytest.raises(ConfigError, match=r"'steps\.x' does not exist: 'steps' has no settings of its own"):
        build(Config, {"steps.x": "3"})


def test_nested_plugins_are_selected_and_configured():
    config = build(Config, {"part.name": "box", "part.size": "9", "part.inner.strength": "0.25"})
    assert config.part == Choice("box", BoxConfig(Choice("plain", PlainConfig(0.25)), 9))
    assert build(Config, {"part": "box"}).part.name == "box"
    assert build(Config, {"part.strength": "2"}).part == Choice("plain", PlainConfig(2.0))


def test_selected_plugin_accepts_only_its_own_keys():
    with pytest.raises(UnknownName, match="unknown setting 'strength'; "):
        build(Config, {"part.name": "box", "part.strength": "1"})
    with pytest.raises(UnknownName, match=r"unknown part 'boxx'; did you mean box\?"):
        build(Config, {"part.name": "boxx"})
    with pytest.raises(ConfigError, match="strength=big"):
        build(Config, {"part.strength": "big"})


def test_configuration_round_trips_through_its_settings():
    for settings in (
        {},
        {"limit": "3", "widths": "[1]", "mode": "none", "label": "none", "flip": "no"},
        {"part.name": "box", "part.inner.name": "box", "part.inner.size": "4"},
    ):
        config = build(Config, settings)
        assert build(Config, as_settings(config)) == config


def test_description_lists_all_fields_and_selected_plugins():
    lines = {line.key: line for line in describe(build(Config, {"part.name": "box"}))}
    assert list(lines) == [
        *("steps", "rate", "flip", "mode", "label", "limit", "widths"),
        *("part.name", "part.inner.name", "part.inner.strength", "part.size"),
    ]
    assert lines["steps"][1:] == ("int", 200, "training steps")
    assert lines["limit"].type == "float | None"
    assert lines["mode"].type == "'none' | 'fast'"
    assert lines["part.name"][1:] == ("box | plain", "box", "which part")
    assert lines["part.inner.strength"].help == "how strong"


START = {"steps": 7, "part.name": "box", "part.size": 9, "part.inner.strength": 2.0}


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({}, {}),
        ({"steps": "7"}, {}),
        ({"steps": "8", "widths": "[1]"}, {"steps": 8, "widths": (1,)}),
        ({"part.size": "4"}, {"part.size": 4}),
        ({"part.inner.strength": "3"}, {"part.inner.strength": 3.0}),
        ({"part.name": "box"}, {}),
        ({"part": "plain"}, {"part.name": "plain"}),
        ({"part.name": "plain", "part.strength": "0.5"}, {"part.name": "plain"}),
        ({"part.name": "plain", "part.strength": "1"}, {"part.name": "plain", "part.strength": 1.0}),
        ({"part.inner.name": "box"}, {"part.inner.name": "box"}),
        ({"part": Choice("box", BoxConfig())}, {"part.inner.strength": 0.5, "part.size": 3}),
    ],
)
def test_settings_override_a_configuration(settings, changed):
    start = build(Config, START)
    config = build(Config, settings, start)
    found = dict(changes(start, config))
    assert found == changed
    assert build(Config, found, start) == config


def test_another_plugin_starts_from_its_own_defaults():
    config = build(Config, {"part.inner.name": "box"}, build(Config, START))
    assert config.part == Choice("box", BoxConfig(Choice("box", BoxConfig()), 9))


def test_types_are_shown_as_in_source_code():
    assert type_name(tuple[int, ...]) == "tuple[int, ...]"
    assert type_name(int) == "int"
    assert type_name(Literal["a", 1]) == "'a' | 1"


def test_settings_are_parsed_from_the_command_line():
    assert parse_settings(["a=1", " b.c = x=y ", "d="]) == {"a": "1", "b.c": "x=y", "d": ""}
    for wrong in ("steps", "=3", " =3"):
        with pytest.raises(ConfigError, match="write key=value"):
            parse_settings([wrong])


def test_configuration_is_immutable():
    with pytest.raises(FrozenInstanceError):
        build(Config, {}).steps = 3


def test_values_of_parts_are_those_of_their_fields():
    @dataclass(frozen=True)
    class Whole(PlainConfig):
        size: int = option(3, "how large")

    assert values_of(Whole(strength=2.0), PlainConfig) == {"strength": 2.0}
    assert values_of(Whole(), PlainConfig, Whole) == {"strength": 0.5, "size": 3}

"""Methods with settings in brackets: parsing and labels."""

from __future__ import annotations

import pytest

from dpbench.core.errors import ConfigError
from dpbench.core.variants import Variant, parse_variant, split_list, titled, variant_label


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("a, b,,c ", ["a", "b", "c"]),
        ("a[x=1,y=2],b", ["a[x=1,y=2]", "b"]),
        ("a[x=[1,2],y=[[3],4]], a[z={},w=1] ,b", ["a[x=[1,2],y=[[3],4]]", "a[z={},w=1]", "b"]),
    ],
)
def test_commas_inside_brackets_do_not_separate_methods(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts


def test_brackets_hold_settings_of_the_method() -> None:
    assert parse_variant("a") == Variant("a", {})
    assert parse_variant("a[]") == Variant("a", {})
    assert parse_variant("a[x=1, p.name=b,widths=[32,[1,2]]]") == Variant(
        "a", {"x": "1", "p.name": "b", "widths": "[32,[1,2]]"}
    )


@pytest.mark.parametrize("text", ["a[x=1", "a]", "a[x=[1]", "a[x=1]]", "a]x=1[", "b,a[x=1"])
def test_unbalanced_bracket_gives_a_one_line_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"are not balanced; write METHOD\[key=value,key=value\]") as error:
        split_list(text)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a[x=1", "does not end with the closing bracket"),
        ("a[x=1]b", "does not end with the closing bracket"),
        ("a[x=1][y=2]", "are not balanced"),
        ("a[x]", "'x' is not a setting"),
    ],
)
def test_invalid_variant_raises_an_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_variant(text)


def test_label_round_trips() -> None:
    values = {"widths": (32, 32), "rate": 2e-4, "flip": False, "limit": None, "mode": "fast"}
    label = variant_label(values.items())
    assert label == "widths=[32,32],rate=0.0002,flip=false,limit=null,mode=fast"
    texts = {"widths": "[32,32]", "rate": "0.0002", "flip": "false", "limit": "null", "mode": "fast"}
    assert parse_variant(f"a[{label}]") == Variant("a", texts)


def test_title_shows_the_variant_in_brackets() -> None:
    assert (titled("a", "x=1"), titled("a", "")) == ("a [x=1]", "a")

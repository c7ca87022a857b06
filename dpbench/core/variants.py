"""Variants: several configurations of one method in one run, written as the method's name with settings in brackets.

wavelet,wavelet[codes=128],dp-sgd[channels=[32,32],steps=100]
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from dpbench.core.config import parse_settings
from dpbench.core.errors import ConfigError


class Variant(NamedTuple):
    """A method's registered name, and settings that override those shared by all methods."""

    method: str
    settings: dict[str, str]


def split_list(text: str) -> list[str]:
    """ "a,b[c=1,d=[2,3]]" -> ["a", "b[c=1,d=[2,3]]"]: the parts between commas outside brackets.

    Raises:
        ConfigError: brackets are not balanced.
    """
    depth = list(accumulate((c in "[{") - (c in "]}") for c in text))
    if text and (min(depth) < 0 or depth[-1] > 0):
        raise ConfigError(f"the brackets in '{text}' are not balanced; write METHOD[key=value,key=value]")
    commas = [i for i, c in enumerate(text) if c == "," and depth[i] == 0]
    parts = (text[before + 1 : after].strip() for before, after in pairwise([-1, *commas, len(text)]))
    return [part for part in parts if part]


def parse_variant(text: str) -> Variant:
    """ "wavelet[codes=128]" -> Variant("wavelet", {"codes": "128"}); a bare name has no settings.

    Raises:
        ConfigError: brackets are not balanced, or do not contain settings.
    """
    method, bracket, rest = text.partition("[")
    if bracket and not rest.endswith("]"):
        raise ConfigError(f"'{text}' does not end with the closing bracket; write METHOD[key=value,key=value]")
    return Variant(method.strip(), parse_settings(split_list(rest[:-1])))


def variant_label(settings: Iterable[tuple[str, Any]]) -> str:
    """[("channels", (32, 32)), ("mode", "fast")] -> "channels=[32,32],mode=fast", the text for the brackets."""
    return ",".join(f"{key}={written(value)}" for key, value in settings)


def written(value: Any) -> str:
    """The value of a setting as it is typed: (0.1, 0.2) -> "[0.1,0.2]"."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)


def titled(method: str, variant: str) -> str:
    """The displayed name of a variant, e.g. "wavelet [codes=128]"."""
    return f"{method} [{variant}]" if variant else method

"""Errors of plugins become one line."""

from __future__ import annotations

import pytest

from dpbench.core.errors import ConfigError, DpbenchError, RunError, foreign_code, reason


def test_an_error_of_a_plugin_is_one_line_that_says_what_failed() -> None:
    with pytest.raises(ConfigError) as found, foreign_code("its plan", ConfigError, "; look there"):
        raise KeyError("one\ntwo")
    assert str(found.value) == r"its plan failed: KeyError: 'one\ntwo'; look there"
    with pytest.raises(DpbenchError, match=r"^it failed: ValueError: one$"), foreign_code("it"):
        raise ValueError("one\ntwo")
    with pytest.raises(DpbenchError, match=r"^it failed: EOFError$"), foreign_code("it"):
        raise EOFError


@pytest.mark.parametrize("error", [RunError("mine"), KeyboardInterrupt()])
def test_other_errors_pass_unchanged(error: BaseException) -> None:
    with pytest.raises(type(error)) as found, foreign_code("it"):
        raise error
    assert found.value is error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("too large"), "too large"),
        (ValueError("too large.\nSee above"), "too large"),
        (ValueError("\n  too large:\n\tconv.weight"), "too large"),
        (EOFError(), "EOFError"),
        (ValueError("\n"), "ValueError"),
    ],
)
def test_the_reason_of_an_error_is_the_first_line_of_its_message_or_else_its_class(
    error: Exception, expected: str
) -> None:
    assert reason(error) == expected

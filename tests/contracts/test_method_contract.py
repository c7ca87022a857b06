"""Every registered method keeps the promises of methods, and every check can fail."""

from __future__ import annotations

import broken_methods
import pytest
import tiny
from sound_method import Sound

from dpbench.contracts import methods
from dpbench.contracts.methods import BUILTIN_CHECKS, MethodCase
from dpbench.contracts.promise import ContractError
from dpbench.core.registries import METHODS
from dpbench.core.registry import Registry


@pytest.fixture(scope="module", params=METHODS.names())
def case(request, tmp_path_factory) -> MethodCase:
    settings = tiny.entry(tiny.METHODS, request.param)
    return MethodCase(METHODS, request.param, tmp_path_factory.mktemp(request.param), settings)


@pytest.mark.parametrize("check", BUILTIN_CHECKS, ids=lambda check: check.__name__)
def test_every_method_keeps_its_promises(case, check):
    check(case)


@pytest.mark.parametrize("check", BUILTIN_CHECKS, ids=lambda check: check.__name__)
def test_a_method_that_breaks_a_promise_is_noticed(check, tmp_path, registries):
    plugin, message = broken_methods.BROKEN[check.__name__]
    METHODS.register("broken")(plugin)
    with pytest.raises(ContractError, match=message):
        check(MethodCase(METHODS, "broken", tmp_path))


@pytest.mark.parametrize("check", methods.CHECKS, ids=lambda check: check.__name__)
def test_a_method_that_keeps_them_passes(check, tmp_path, registries):
    METHODS.register("sound")(Sound)
    check(MethodCase(METHODS, "sound", tmp_path))


def test_a_summary_that_differs_from_the_docstring_is_noticed(tmp_path):
    registry = Registry("method", {"sound": ("sound_method:Sound", "Something else.")}, object)
    with pytest.raises(ContractError, match=r"its summary is 'Something else\.'"):
        methods.check_summary(MethodCase(registry, "sound", tmp_path))


def test_a_plugin_without_tiny_settings_is_named():
    with pytest.raises(AssertionError, match="no tiny settings for 'new'"):
        tiny.entry(tiny.METHODS, "new")

"""Every registered refiner keeps the promises of refiners, and every check can fail."""

from __future__ import annotations

import pytest
import tiny
from broken_refiners import BROKEN, Blocks

from dpbench.contracts import refiners
from dpbench.contracts.promise import ContractError
from dpbench.contracts.refiners import BUILTIN_CHECKS, CHECKS, RefinerCase
from dpbench.core.registries import REFINERS


@pytest.fixture(scope="module", params=REFINERS.names())
def case(request, tmp_path_factory, made) -> RefinerCase:
    weights = tiny.REFINER_WEIGHTS.get(request.param, {})
    settings = tiny.entry(tiny.REFINERS, request.param) | {key: str(made(name)) for key, name in weights.items()}
    return RefinerCase(REFINERS, request.param, tmp_path_factory.mktemp(request.param), settings)


@pytest.mark.parametrize("check", BUILTIN_CHECKS, ids=lambda check: check.__name__)
def test_every_refiner_keeps_its_promises(case, check):
    check(case)


@pytest.mark.parametrize(("check", "plugin", "message"), BROKEN)
def test_a_refiner_that_breaks_a_promise_is_noticed(check, plugin, message, tmp_path, registries):
    REFINERS.register("broken")(plugin)
    with pytest.raises(ContractError, match=message):
        getattr(refiners, check)(RefinerCase(REFINERS, "broken", tmp_path))


def test_every_check_can_fail():
    assert {check.__name__ for check in BUILTIN_CHECKS} == {check for check, _, _ in BROKEN}


@pytest.mark.parametrize("check", CHECKS[:-1], ids=lambda check: check.__name__)
def test_a_refiner_that_keeps_them_passes(check, tmp_path, registries):
    REFINERS.register("sound")(Blocks)
    check(RefinerCase(REFINERS, "sound", tmp_path))

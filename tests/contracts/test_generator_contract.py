"""Every registered generator keeps the promises of generators, and every check can fail."""

from __future__ import annotations

import pytest
import tiny
from broken_generators import BROKEN, Noise

from dpbench.contracts import generators
from dpbench.contracts.generators import BUILTIN_CHECKS, CHECKS, GeneratorCase
from dpbench.contracts.promise import ContractError
from dpbench.core.registries import GENERATORS


@pytest.fixture(scope="module", params=GENERATORS.names())
def case(request, tmp_path_factory, made) -> GeneratorCase:
    weights = tiny.GENERATOR_WEIGHTS.get(request.param, {})
    settings = tiny.entry(tiny.GENERATORS, request.param) | {key: str(made(name)) for key, name in weights.items()}
    return GeneratorCase(GENERATORS, request.param, tmp_path_factory.mktemp(request.param), settings)


@pytest.mark.parametrize("check", BUILTIN_CHECKS, ids=lambda check: check.__name__)
def test_every_generator_keeps_its_promises(case, check):
    check(case)


@pytest.mark.parametrize(("check", "plugin", "message"), BROKEN)
def test_a_generator_that_breaks_a_promise_is_noticed(check, plugin, message, tmp_path, registries):
    GENERATORS.register("broken")(plugin)
    with pytest.raises(ContractError, match=message):
        getattr(generators, check)(GeneratorCase(GENERATORS, "broken", tmp_path))


def test_every_check_can_fail():
    assert {check.__name__ for check in BUILTIN_CHECKS} == {check for check, _, _ in BROKEN}


@pytest.mark.parametrize("check", CHECKS[:-1], ids=lambda check: check.__name__)
def test_a_generator_that_keeps_them_passes(check, tmp_path, registries):
    GENERATORS.register("sound")(Noise)
    check(GeneratorCase(GENERATORS, "sound", tmp_path))

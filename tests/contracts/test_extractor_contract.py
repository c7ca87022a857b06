"""Every registered extractor keeps the promises of extractors, and every check can fail."""

from __future__ import annotations

import pytest
import tiny
from broken_extractors import BROKEN, Means

from dpbench.contracts import extractors
from dpbench.contracts.extractors import CHECKS, ExtractorCase
from dpbench.contracts.promise import ContractError
from dpbench.core.registries import EXTRACTORS


@pytest.fixture(scope="module", params=EXTRACTORS.names())
def case(request, tmp_path_factory) -> ExtractorCase:
    return ExtractorCase(EXTRACTORS, request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_extractor_keeps_its_promises(case, check, quick_metrics, publish, made):
    if weights := tiny.entry(tiny.EXTRACTORS, case.name):
        publish(weights, made(weights))
    check(case)


@pytest.mark.parametrize(("check", "plugin", "message"), BROKEN)
def test_an_extractor_that_breaks_a_promise_is_noticed(check, plugin, message, tmp_path, registries):
    EXTRACTORS.register("broken")(plugin)
    with pytest.raises(ContractError, match=message):
        getattr(extractors, check)(ExtractorCase(EXTRACTORS, "broken", tmp_path))


def test_every_check_can_fail():
    assert {check.__name__ for check in CHECKS} == {check for check, _, _ in BROKEN}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_extractor_that_keeps_them_passes(check, tmp_path, registries):
    EXTRACTORS.register("sound")(Means)
    check(ExtractorCase(EXTRACTORS, "sound", tmp_path))

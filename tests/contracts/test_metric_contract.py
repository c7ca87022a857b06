"""Every registered metric keeps the promises of metrics, and every check can fail."""

from __future__ import annotations

import pytest
import tiny
from broken_metrics import BROKEN, Brightness
from stand_ins import WEIGHTS, Blocks
from temporary import temporary

from dpbench.contracts import metrics
from dpbench.contracts.metrics import BUILTIN_CHECKS, CHECKS, MetricCase
from dpbench.contracts.promise import ContractError
from dpbench.core.registries import EXTRACTORS, METRICS


@pytest.fixture(scope="module", params=METRICS.names())
def case(request, tmp_path_factory) -> MetricCase:
    attributes = tiny.entry(tiny.METRICS, request.param)
    return MetricCase(METRICS, request.param, tmp_path_factory.mktemp(request.param), **attributes)


@pytest.mark.parametrize("check", BUILTIN_CHECKS, ids=lambda check: check.__name__)
def test_every_metric_keeps_its_promises(case, check, quick_metrics, publish, made):
    needed = {"inception": Blocks, "pytorch-fid": Blocks, "dinov2": Blocks}
    if case.name in WEIGHTS:
        publish(WEIGHTS[case.name], made(WEIGHTS[case.name]))
    else:
        needed["clip"] = Blocks
    with temporary(EXTRACTORS, needed):
        check(case)


@pytest.mark.parametrize(("check", "plugin", "message"), BROKEN)
def test_a_metric_that_breaks_a_promise_is_noticed(check, plugin, message, tmp_path, registries):
    METRICS.register("broken")(plugin)
    with pytest.raises(ContractError, match=message):
        getattr(metrics, check)(MetricCase(METRICS, "broken", tmp_path))


def test_every_check_can_fail():
    assert {check.__name__ for check in BUILTIN_CHECKS} == {check for check, _, _ in BROKEN}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_metric_that_keeps_them_passes(check, tmp_path, registries):
    METRICS.register("sound")(Brightness)
    check(MetricCase(METRICS, "sound", tmp_path))

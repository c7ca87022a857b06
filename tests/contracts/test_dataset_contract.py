"""Every registered dataset keeps the promises of datasets, and every check can fail."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
from broken_datasets import BROKEN, Noise

from dpbench.contracts import datasets
from dpbench.contracts.datasets import BUILTIN_CHECKS, CHECKS, DatasetCase
from dpbench.contracts.promise import ContractError
from dpbench.core.data import DataOptions
from dpbench.core.registries import DATASETS


@pytest.fixture(scope="module", params=DATASETS.names())
def case(request, tmp_path_factory):
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    root = folder / "data"
    with pytest.MonkeyPatch.context() as patch:
        tiny.entry(tiny.DATASETS, name)(DATASETS.get(name), root, patch)
        argument = {"folder": str(root / "pets"), "holdout": f"folder:{root / 'pets'}"}.get(name, "")
        yield DatasetCase(DATASETS, name, folder, argument, options=DataOptions(root, cache=folder / "cache"))


def small(tmp_path: Path) -> DatasetCase:
    return DatasetCase(DATASETS, "broken", tmp_path, options=DataOptions(tmp_path))


@pytest.mark.parametrize("check", BUILTIN_CHECKS, ids=lambda check: check.__name__)
def test_every_dataset_keeps_its_promises(case, check):
    check(case)


@pytest.mark.parametrize(("check", "plugin", "message"), BROKEN)
def test_a_dataset_that_breaks_a_promise_is_noticed(check, plugin, message, tmp_path, registries):
    DATASETS.register("broken")(plugin)
    with pytest.raises(ContractError, match=message):
        getattr(datasets, check)(small(tmp_path))


def test_every_check_can_fail():
    assert {check.__name__ for check in BUILTIN_CHECKS} == {check for check, _, _ in BROKEN}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_dataset_that_keeps_them_passes(check, tmp_path, registries):
    DATASETS.register("broken")(Noise)
    check(small(tmp_path))

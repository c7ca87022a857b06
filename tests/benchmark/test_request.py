"""What Python callers may give for the fields of a request."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dpbench import RunRequest
from dpbench.core.errors import DpbenchError


def test_a_lone_value_is_a_list_of_one() -> None:
    request = RunRequest("wavelet", "shapes", 1, plugins=Path("mine.py"), metrics="fid", references="real")
    assert (request.methods, request.epsilons, request.plugins) == (("wavelet",), (1.0,), (Path("mine.py"),))
    assert (request.metrics, request.references) == (("fid",), ("real",))


def test_lists_can_be_given_as_on_the_command_line() -> None:
    request = RunRequest("wavelet[codes=8,steps=2],dp-merf", epsilons="1,inf", references="none", track="none")
    assert request.methods == ("wavelet[codes=8,steps=2]", "dp-merf")
    assert request.epsilons == (1.0, math.inf)
    assert (request.references, request.track) == ((), ())
    assert RunRequest(metrics="").metrics is None


def test_texts_become_numbers_and_paths() -> None:
    request = RunRequest(seeds="3", samples="20", delta="1e-5", out="here", data="there", prompts="prompts.txt")
    assert (request.seeds, request.samples, request.delta) == (3, 20, 1e-5)
    assert (request.out, request.data, request.prompts) == (Path("here"), Path("there"), Path("prompts.txt"))


def test_at_least_one_metric_is_named() -> None:
    for metrics in ("none", (), []):
        with pytest.raises(DpbenchError, match="no metric is named: name at least one"):
            RunRequest(metrics=metrics)
    assert RunRequest(metrics="none", protocol="dpimagebench").metrics == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("methods", None), ("dataset", 5), ("epsilons", None), ("epsilons", ["x"]), ("epsilons", "x"), ("delta", "x"),
        ("seeds", "many"), ("samples", 10.5), ("references", None), ("settings", "steps=3"), ("settings", ["steps=3"]),
        ("metrics", [1]), ("protocol", None), ("device", None), ("job", "num_cpus=4"), ("gpus", None), ("data", 3),
        ("out", None), ("plugins", [3]), ("force", "perhaps"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_one_line(name: str, value: object) -> None:
    with pytest.raises(DpbenchError) as caught:
        RunRequest(**{name: value})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("ε must be" if value == "x" and name == "epsilons" else f"{name}: ")

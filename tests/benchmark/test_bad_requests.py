"""Invalid input gives one clear error before any file is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import events
import pytest

import dpbench
from dpbench.core.errors import DpbenchError
from dpbench.results.metric_columns import known_columns, owners

BAD: list[tuple[dict[str, Any], str]] = [
    ({"methods": ["fak"]}, "unknown method 'fak'; did you mean fake"),
    ({"methods": ["fake[spread=1"]}, "'fake.spread=1' does not end with the closing bracket"),
    ({"methods": ["fake", "fake[spred=1]"]}, "method 'fake': unknown setting 'spred'; did you mean spread"),
    ({"methods": []}, "no method is given"),
    ({"dataset": "tinny"}, "unknown dataset 'tinny'; did you mean tiny"),
    ({"dataset": "folder:/nowhere"}, "/nowhere"),
    ({"public": "textires"}, "unknown dataset 'textires'; did you mean textures"),
    ({"public": ""}, "unknown dataset ''"),
    ({"public": "tiny"}, "never both public and sensitive"),
    ({"metrics": ["brigthness"]}, "unknown metric 'brigthness'; did you mean brightness"),
    ({"settings": {"spred": "1"}}, "method 'fake': unknown setting 'spred'; did you mean spread"),
    ({"settings": {"spread": "wide"}}, "setting spread=wide: .* valid number"),
    ({"settings": {"alone:spread": "1"}}, "for method 'alone', but the methods are fake"),
    ({"preset": "lowd"}, "unknown preset .* 'lowd'; did you mean loud"),
    ({"references": ["reel"]}, "unknown reference 'reel'; did you mean real"),
    ({"epsilons": [0.0]}, "--references public"),
    ({"epsilons": [-1.0]}, "must be a positive number or inf, not -1"),
    ({"epsilons": [float("nan")]}, "must be a positive number or inf, not nan"),
    ({"epsilons": []}, "nothing to run"),
    ({"delta": 0.0}, r"δ must lie in \(0, 1\), not 0"),
    ({"delta": 1.5}, r"δ must lie in \(0, 1\), not 1.5"),
    ({"seeds": 0}, "number of seeds must be at least 1 and at most 1,000,000, not 0"),
    ({"samples": 0}, "number of samples must be at least 1 and at most 1,000,000, not 0"),
    ({"samples": 10**12}, "at most 1,000,000, not 1,000,000,000,000"),
    ({"seeds": "many"}, "seeds: input should be a valid integer"),
    ({"samples": 10.5}, "samples: input should be a valid integer"),
    ({"references": None}, "references: input should be a list, not None"),
    ({"settings": "spread=1"}, "settings: input should be a valid dictionary"),
    ({"metrics": "none"}, "no metric is named"),
    ({"device": None}, "device: input should be a valid string"),
    ({"device": "tpu"}, "unknown device 'tpu'"),
    ({"device": "cuda:99"}, "device 'cuda:99' is not available"),
    ({"settings": {"levels": "5"}}, "5 levels do not divide a resolution of 16"),
    ({"settings": {"batch": "500"}}, "fewer than the expected batch of 500"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=lambda value: str(value)[:40])
def test_invalid_request_writes_no_files(tiny: Path, change: dict[str, Any], message: str) -> None:
    request = {
        "methods": ["fake"],
        "dataset": "tiny",
        "public": "tiny-public",
        "epsilons": [1.0],
        "device": "cpu",
        "references": (),
    }
    with pytest.raises(DpbenchError, match=message):
        dpbench.run(**(request | change), out=tiny)
    assert not tiny.exists()


def test_unwritable_folder_raises_an_error(tiny: Path) -> None:
    tiny.write_text("a file", encoding="utf-8")
    with pytest.raises(DpbenchError, match="is not a folder"):
        dpbench.run(["fake"], dataset="tiny", public="tiny-public", out=tiny / "below", device="cpu")


def test_metrics_with_the_same_column_raise_an_error(tiny: Path) -> None:
    import fakes

    dpbench.METRICS.register("again")(fakes.Brightness)
    with pytest.raises(DpbenchError, match="both fill 'brightness'"):
        dpbench.run(["fake"], dataset="tiny", metrics=["brightness", "again"], out=tiny)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        *((name, "a reserved column") for name in ("epsilon", "epsilon_spent", "accounting", "n_samples", "notes")),
        *((name, "a reserved column") for name in ("seeds", "rank", "order", "series", "brightness_ci95")),
        *((name, "use only letters, digits and _") for name in ("", "2d", "my column", "a-b")),
    ],
)
def test_metric_with_a_reserved_column_raises_an_error(tiny: Path, column: str, message: str) -> None:
    import fakes

    columns = (dpbench.Column(column, "low", "says that nothing was spent"),)
    dpbench.METRICS.register("greedy")(type("Greedy", (fakes.Brightness,), {"columns": columns}))
    with pytest.raises(DpbenchError, match=f"metric 'greedy' .*{message}"):
        dpbench.run(["fake"], dataset="tiny", public="tiny-public", metrics=["brightness", "greedy"], out=tiny)
    assert not tiny.exists()
    assert events.EVENTS == []
    assert column not in {known.name for known in known_columns()}


def test_metric_needs_columns_and_an_unreserved_name(tiny: Path) -> None:
    import fakes

    dpbench.METRICS.register("empty")(type("Empty", (fakes.Brightness,), {"columns": ()}))
    with pytest.raises(DpbenchError, match="'empty' declares no column"):
        dpbench.run(["fake"], dataset="tiny", metrics=["empty"], out=tiny)
    dpbench.METRICS.register("n_samples")(type("Count", (fakes.Brightness,), {}))
    with pytest.raises(DpbenchError, match="no metric may be called 'n_samples'"):
        dpbench.run(["fake"], dataset="tiny", metrics=["n_samples"], out=tiny)
    assert {"empty", "n_samples"}.isdisjoint(owners().values())


def test_setting_can_be_prefixed_with_its_method(tiny: Path) -> None:
    import plugin_mean

    dpbench.METHODS.register("mean2")(plugin_mean.NoisyMean)
    request = {
        "dataset": "tiny",
        "public": "tiny-public",
        "out": tiny,
        "metrics": ["brightness"],
        "delta": 1e-6,
        "references": (),
    }
    with pytest.raises(DpbenchError, match=r"method 'mean2': unknown setting 'levels'.* write mean2:key=value"):
        dpbench.run(["fake", "mean2"], settings={"levels": 2}, **request)
    assert len(dpbench.run(["fake", "mean2"], settings={"fake:levels": 2, "spread": 1}, samples=10, **request)) == 2

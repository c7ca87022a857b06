"""Scores are stored metric by metric: an interruption or an error loses none that are finished."""

from __future__ import annotations

import events
import fakes
import pandas as pd
import pytest

import dpbench
from dpbench.core.errors import DpbenchError
from dpbench.results.trial_folder import TrialFolder


def fails(error: BaseException):
    def compute(*about: object) -> None:
        raise error

    return compute


@pytest.mark.parametrize("dataset", ["tiny", "tiny:secret"])
@pytest.mark.parametrize("reference", ["", "real"])
@pytest.mark.parametrize(
    ("error", "raised"), [(KeyboardInterrupt(), KeyboardInterrupt), (RuntimeError("shapes"), DpbenchError)]
)
def test_finished_metrics_are_kept(tiny, monkeypatch, dataset, reference, error, raised) -> None:
    def run() -> pd.DataFrame:
        references = {"references": ("real",), "epsilons": ()} if reference else {"references": (), "epsilons": (1.0,)}
        return dpbench.run(
            "fake", dataset, out=tiny, public="tiny-public", samples=10, delta=1e-6, device="cpu",
            metrics=["brightness", "familiar", "classy"], **references,
        )  # fmt: skip

    with monkeypatch.context() as patch:
        patch.setattr(fakes.Classy, "compute", fails(error))
        with pytest.raises(raised):
            run()
    (path,) = tiny.rglob("unscored.json")
    before = TrialFolder(path.parent).read_scores(all_columns=True)
    assert set(before.scored) == set(before.seconds) == {"brightness", "familiar"}
    events.EVENTS.clear()
    row = run().iloc[0]
    assert "brightness" not in events.EVENTS
    after = TrialFolder(path.parent).read_scores(all_columns=True)
    assert before.scored.items() < after.scored.items()
    assert before.values.items() < after.values.items()
    assert set(after.values) == {"brightness", "familiar", "classy"}
    assert after.protocol["n_samples"] == row["n_samples"]
    assert row["seconds_evaluate"] == sum(after.seconds.values()) > sum(before.seconds.values())

"""What real images reach, beside another row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rows import scores, trial

from dpbench.core.files import write_json
from dpbench.results.real_row import real_values
from dpbench.results.stored_scores import StoredScores
from dpbench.results.trial_folder import TrialFolder

OWN = StoredScores(**scores())


def store_real(out: Path, key: str, scored: dict[str, Any], samples: int | None = None, **changes: Any) -> None:
    """Stores a `real` row for trials with that number of samples, by default as many as are scored in other rows."""
    config = {"samples": scores()["protocol"]["n_samples"] if samples is None else samples}
    record = trial(method="real", reference="real", epsilon=None, noise="", key=key, config=config, **changes)
    folder = TrialFolder.of(out, "d", "real", key).path
    write_json(folder / "trial.json", record.as_json())
    write_json(folder / "scores.json", scored)


def test_the_row_of_as_many_images_of_the_same_dataset_counts(tmp_path: Path) -> None:
    store_real(tmp_path, "a", scores(0.90, n_samples=99), samples=99)
    store_real(tmp_path, "b", scores(0.91), dataset_fingerprint="other images")
    assert real_values(tmp_path, trial(), OWN) == {}
    store_real(tmp_path, "c", scores(0.99))
    assert real_values(tmp_path, trial(), OWN) == {"accuracy": 0.99, "fwd": 2.0}
    assert real_values(tmp_path, trial(method="real", reference="real"), OWN) == {}


def test_a_row_that_was_capped_at_half_of_train_counts(tmp_path: Path) -> None:
    store_real(tmp_path, "c", scores(0.99, n_samples=7))
    assert real_values(tmp_path, trial(), OWN)["accuracy"] == 0.99


def test_scores_of_another_protocol_do_not_count(tmp_path: Path) -> None:
    store_real(tmp_path, "c", scores(0.99, accuracy_protocol="v2"))
    assert real_values(tmp_path, trial(), OWN) == {"fwd": 2.0}


def test_a_damaged_row_does_not_count(tmp_path: Path) -> None:
    store_real(tmp_path, "c", {"values": {}})
    assert real_values(tmp_path, trial(), OWN) == {}

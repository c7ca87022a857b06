"""The `real` row beside another row: the scores of as many real images."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dpbench.core.errors import DpbenchError
from dpbench.results.metric_columns import owners
from dpbench.results.record import TrialRecord
from dpbench.results.stored_scores import StoredScores
from dpbench.results.trial_folder import TrialFolder, dataset_folder


def real_values(out: Path, record: TrialRecord, scores: StoredScores) -> dict[str, float]:
    """Column -> value of the finished `real` row for as many samples, for scores of the same protocol; {} without one.

    Args:
        out: folder of results.
        record: the record of the other row.
        scores: the scores of the other row.
    """
    own = scores.protocol
    if record.reference == "real":
        return {}
    for path in sorted((dataset_folder(out, record.dataset) / "real").glob("*")):
        with suppress(DpbenchError):  # reading the damaged row itself reports it
            real = TrialFolder(path).read() if TrialFolder(path).is_finished else None
            if real is None or real.dataset_fingerprint != record.dataset_fingerprint or real.spec != record.spec:
                continue
            if real.config.get("samples") == own.get("n_samples"):
                found = TrialFolder(path).read_scores()
                protocol, metric = found.protocol, owners()
                return {
                    name: value
                    for name, value in found.values.items()
                    if value is not None and protocol.get(metric.get(name, "")) == own.get(metric.get(name, ""))
                }
    return {}

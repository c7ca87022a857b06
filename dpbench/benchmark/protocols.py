"""Evaluation protocols: metrics that are computed together, and the number of samples that they are defined for.

To add one, add an entry to `PROTOCOLS`: `--protocol NAME` then computes its metrics beside the others.
"""

from __future__ import annotations

from dataclasses import dataclass

OWN = "dpbench"


@dataclass(frozen=True)
class EvaluationProtocol:
    """The metrics and the number of samples of an evaluation protocol.

    Attributes:
        samples: default number of samples of a trial.
        metrics: names of metrics that are computed beside the chosen ones.
    """

    samples: int
    metrics: tuple[str, ...] = ()


PROTOCOLS: dict[str, EvaluationProtocol] = {
    OWN: EvaluationProtocol(10_000),
    "dpimagebench": EvaluationProtocol(
        60_000,
        (
            "dpimagebench-fid",
            "dpimagebench-inception-score",
            "dpimagebench-precision-recall",
            "dpimagebench-fld",
            "dpimagebench-image-reward",
        ),
    ),
}
"""DPImageBench's classifiers, `accuracy-paper`, take days without a GPU and are computed only when named."""

"""The protocol of an average over seeds whose scores were not all computed together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from dpbench.results.metric_columns import owners
from dpbench.results.row import read_protocol


class JointProtocol(NamedTuple):
    """The protocols of several trials as one.

    Attributes:
        extractor: the extractors of all trials.
        protocol: the entries of all trials, as JSON, without those of `apart`.
        apart: the metrics for which two trials have different entries.
    """

    extractor: str
    protocol: str
    apart: frozenset[str]

    def columns_apart(self, columns: Iterable[str]) -> set[str]:
        """The score columns that must not be averaged.

        A column of no known metric is one of them if `apart` has a metric that is not known.
        """
        metric = owners()
        unknown = bool(self.apart - set(metric.values()))
        return {name for name in columns if (metric[name] in self.apart if name in metric else unknown)}


def joint_protocol(trials: pd.DataFrame) -> JointProtocol:
    """The joint protocol of trials.

    Args:
        trials: their rows; see `leaderboard_rows.collect`.
    """
    entries: dict[str, list[Any]] = {}
    for text in trials["protocol"].unique():
        for name, entry in read_protocol(text).items():
            entries.setdefault(name, []).append(entry)
    agreed = {name: first for name, (first, *others) in entries.items() if all(other == first for other in others)}
    extractors = {name for text in trials["extractor"] if text for name in text.split("; ")}
    protocol = json.dumps(agreed, sort_keys=True, ensure_ascii=False) if agreed else ""
    return JointProtocol("; ".join(sorted(extractors)), protocol, frozenset(entries.keys() - agreed.keys()))


def real_images(protocols: pd.Series[str]) -> pd.Series[str]:
    """The real images that each row was compared with: their fingerprint, or "".

    Args:
        protocols: the rows' column `protocol`.
    """
    found = {text: str(read_protocol(text).get("reference", "")) for text in protocols.unique()}
    return protocols.map(found).rename("real images")

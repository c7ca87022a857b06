"""The model card of a trial, made from its folder, its method and the user's privacy record."""

from __future__ import annotations

from contextlib import suppress

from dpbench.benchmark.reporting.row_command import row_command
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import state_folder
from dpbench.core.registries import METHODS
from dpbench.results import card_file, privacy_record
from dpbench.results.metric_columns import known_columns
from dpbench.results.model_card import CardScores, Origin, model_card
from dpbench.results.real_row import real_values
from dpbench.results.record import TrialRecord
from dpbench.results.stored_ledger import StoredLedger
from dpbench.results.trial_folder import LEDGER, TrialFolder


def write_card(record: TrialRecord, folder: TrialFolder) -> bool:
    """Writes README.md of a trial, unless a user edited it. Images that dpbench did not draw have no card.

    Args:
        record, folder: the trial, scored.

    Returns:
        whether a card was written by this call.

    Raises:
        DpbenchError: the ledger or the scores are damaged, or the card cannot be written.
    """
    if not record.has_model:
        return False
    scores = folder.read_scores()
    real = real_values(folder.results, record, scores)
    measured = CardScores(scores.values, scores.ci95, real, known_columns())
    ledger = StoredLedger.read(folder.path / LEDGER)
    return card_file.store(folder.card, model_card(record, ledger, _origin(record), measured))


def _origin(record: TrialRecord) -> Origin:
    summary = paper = ""
    with suppress(DpbenchError):  # the method's plugin may not be loaded
        summary, paper = METHODS.summary(record.method), METHODS.get(record.method).paper
    runs = privacy_record.of_fingerprint(state_folder() / privacy_record.FOLDER, record.dataset_fingerprint)
    return Origin(summary, paper, row_command(record, 1 + (record.seed or 0)), runs)

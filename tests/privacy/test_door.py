"""When a vault closes, and what an exception shows."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from stepping import flat, linear, squares, start
from torch import Tensor
from vaults import Images, a_sum, pixels, steps, vault

from dpbench.core.errors import DataError, PrivacyError, RunError
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.checks.loss_checks import LossChecks
from dpbench.privacy.door import Door
from dpbench.privacy.vault import Vault

FILE = Path(__file__).name


class Undeclared(Images):
    """Images that are no public benchmark."""

    def __init__(self, images: Tensor):
        super().__init__(images)
        s = self.spec
        self.spec = DatasetSpec(s.name, s.channels, s.resolution, s.n_train, s.n_test, s.classes, False)


class Breaks:
    """A closure that fails on private records, and passes on synthetic ones."""

    def __init__(self, error: type[BaseException] = AssertionError):
        self.error, self.armed = error, False

    def contribution(self, batch: Batch) -> Tensor:
        if self.armed:
            raise self.error("labels [2, 0, 1], as some library read them")
        return flat(batch)

    def loss(self, model, batch: Batch, generator) -> Tensor:
        self.contribution(batch)
        return squares(model, batch, generator)


CHUNK = 5
QUERIES = {"noisy_sum": "'sum'", "derive": "derive", "dp_sgd": "step 1 of 'steps'"}


def break_off(records: Images, query: str, error: type[BaseException] = AssertionError) -> tuple[Vault, Any]:
    """The vault, and what was raised when the closure failed on its records."""
    private, breaks = vault(records, a_sum(count=2), steps(len(records), steps=2)), Breaks(error)
    stepper = start(private, linear(), breaks.loss)
    calls: dict[str, Callable[[], object]] = {
        "noisy_sum": lambda: private.noisy_sum("sum", breaks.contribution, CHUNK),
        "derive": lambda: private.derive(breaks.contribution, CHUNK),
        "dp_sgd": lambda: next(stepper),
    }
    behind = private.door.behind

    def armed(what: str, compute: Callable[[], Any]) -> Any:
        breaks.armed = True
        return behind(what, compute)

    private.door.behind = armed  # type: ignore[method-assign]
    try:
        calls[query]()
    except BaseException as raised:
        return private, raised
    raise AssertionError(f"{query} did not break off")


@pytest.mark.parametrize("query", QUERIES)
def test_an_exception_on_records_that_are_no_public_benchmark_shows_type_and_line_only(query):
    private, error = break_off(Undeclared(pixels(9)), query)
    line = Breaks.contribution.__code__.co_firstlineno + 2
    assert isinstance(error, PrivacyError)
    assert f"{QUERIES[query]} raised AssertionError at {FILE}:{line};" in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "labels [" not in "".join(traceback.format_exception(error))
    with pytest.raises(PrivacyError, match="closed"):
        private.unsafe_records("another look")


@pytest.mark.parametrize("query", QUERIES)
def test_an_exception_on_a_public_benchmark_passes_and_closes_the_vault(query):
    private, error = break_off(Images(pixels(9)), query)
    assert isinstance(error, AssertionError)
    assert "labels [" in str(error)
    with pytest.raises(PrivacyError, match=rf"closed: {QUERIES[query]} failed \(AssertionError\)"):
        private.derive(flat)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RunError])
def test_interruptions_and_messages_of_dpbench_pass_and_close_the_vault(error):
    private, raised = break_off(Undeclared(pixels(9)), "noisy_sum", error)
    assert type(raised) is error
    with pytest.raises(PrivacyError, match="closed"):
        private.noisy_sum("sum", flat)


def test_an_error_that_names_a_drawn_file_shows_type_and_line_only():
    """The file of a record that vanishes during training would tell who was sampled in that step."""
    _, error = break_off(Undeclared(pixels(9)), "dp_sgd", DataError)
    assert "step 1 of 'steps' raised DataError at" in str(error)
    assert "labels [" not in "".join(traceback.format_exception(error))
    assert isinstance(break_off(Images(pixels(9)), "dp_sgd", DataError)[1], DataError)


def test_samples_cannot_be_thrown_away_until_one_pleases(monkeypatch):
    """`try: next(step) except: continue` drew samples for free."""
    images = pixels(40)
    images[:, 0, 0, 0] = 100
    images[7, 0, 0, 0] = 0

    def unless_seven(model, batch: Batch, generator) -> Tensor:
        if armed and (batch.images[:, 0, 0, 0] == 0).any():
            raise ValueError("not this one")
        return squares(model, batch, generator)

    armed = False
    private = vault(Images(images), steps(40, expected_batch=20, steps=30))
    stepper, outcomes = start(private, linear(), unless_seven, micro_batch=1), []
    monkeypatch.setattr(LossChecks, "before_step", lambda *_: None)
    armed = True
    for _ in range(30):
        try:
            next(stepper)
        except ValueError:
            outcomes.append("thrown away")
        except PrivacyError:
            outcomes.append("closed")
    assert outcomes.count("thrown away") == 1
    assert outcomes.count("closed") == len(outcomes) - 1 > 0
    assert private.ledger.spent["steps"] == 30 - len(outcomes)


def test_refusals_before_a_record_is_read_leave_the_vault_open():
    private = vault(Images(pixels(9)), a_sum())
    with pytest.raises(PrivacyError, match="mixes records"):
        private.noisy_sum("sum", lambda b: flat(b) - flat(b).mean(0))
    with pytest.raises(PrivacyError, match="mixes records"):
        private.derive(lambda b: flat(b) - flat(b).mean(0))
    private.noisy_sum("sum", flat)


def test_a_closed_vault_answers_nothing_and_the_first_reason_stays():
    private = vault(Images(pixels(9)), a_sum(), steps(9, steps=2))
    derived, stepper = private.derive(flat), start(private, linear())
    next(stepper)
    derived.door.close("it opens only for fit")
    derived.door.close("later")
    for query in (
        lambda: private.noisy_sum("sum", flat),
        lambda: private.derive(flat),
        lambda: derived.derive(lambda b: b.derived),
        lambda: start(private, linear()),
        lambda: next(stepper),
        lambda: private.unsafe_records("a look"),
    ):
        with pytest.raises(PrivacyError, match="the vault is closed: it opens only for fit"):
            query()
    assert private.ledger.accounting == "verified"


def test_what_is_computed_behind_an_open_door_comes_out():
    door = Door(shows_errors=False)
    assert door.behind("it", lambda: torch.ones(2).sum()) == 2
    door.require_open()

"""What measures has no way into a run, and measures what a run would release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_methods import MeanImage
from stepping import flat, linear, start
from vaults import Images, a_sum, pixels, planned, steps

import dpbench
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import DatasetSpec
from dpbench.privacy.auditing.audited_vault import AuditedVault
from dpbench.privacy.auditing.canaries import CanaryRecords
from dpbench.privacy.parts import Parts
from dpbench.privacy.plan import Plan
from dpbench.privacy.rehearsal import Rehearsal
from dpbench.privacy.stand_in import StandIn
from dpbench.privacy.stepper import DPSGDStepper
from dpbench.privacy.vault import Vault

SPEC = DatasetSpec("sensitive", 1, 4, 20, 10, None, True)


def test_the_vault_and_its_steps_have_no_subclasses() -> None:
    assert Vault.__subclasses__() == DPSGDStepper.__subclasses__() == []


def test_a_run_gives_the_vault_itself_to_fit(tiny: Path) -> None:
    given = []

    class Curious(MeanImage):
        def fit(self, private, run) -> None:
            given.append(type(private))
            super().fit(private, run)

    dpbench.METHODS.register("curious")(Curious)
    dpbench.run("curious", dataset="tiny", samples=10, metrics=["brightness"], references=(), delta=1e-6, out=tiny)
    assert given == [Vault]


def test_audits_and_rehearsals_release_by_what_every_run_releases_by(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PrivacyError("nothing is released")

    public = Images(pixels(20), 0)
    audited = AuditedVault(CanaryRecords(public, SPEC, np.array([True])), planned(a_sum(), steps(20)))
    rehearsal = Rehearsal(StandIn(public, SPEC), Plan(a_sum()))
    stepper = start(audited, linear())
    monkeypatch.setattr(Parts, "release", refuse)
    with pytest.raises(PrivacyError, match="nothing is released"):
        next(stepper)
    for private in (AuditedVault(CanaryRecords(public, SPEC, np.array([True])), planned(a_sum())), rehearsal):
        with pytest.raises(PrivacyError, match="nothing is released"):
            private.noisy_sum("sum", flat)

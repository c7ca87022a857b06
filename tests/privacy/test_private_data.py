"""What a method knows in `fit`, whoever answers its queries: a vault, an audit or a rehearsal."""

from __future__ import annotations

import fakes
import numpy as np
import pytest
import torch
from vaults import Images, a_sum, pixels, planned, steps

import dpbench
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.privacy.auditing.audited_vault import AuditedVault
from dpbench.privacy.auditing.canaries import CanaryRecords
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.plan import Plan
from dpbench.privacy.private_data import PrivateData
from dpbench.privacy.rehearsal import Rehearsal
from dpbench.privacy.stand_in import StandIn
from dpbench.privacy.vault import Vault

SPEC = DatasetSpec("sensitive", 1, 4, 20, 10, None, True)
REQUEST = Request(Conditions(7))
SUM, STEPS = a_sum(noise_multiplier=1.5, count=2), steps(20, noise_multiplier=2.0)


def everyone() -> dict[str, PrivateData]:
    public = Images(pixels(20), 0)
    plan = planned(SUM, STEPS)
    return {
        "vault": Vault(public, public.spec, Ledger(plan), NoiseSource(), request=REQUEST),
        "audit": AuditedVault(CanaryRecords(public, SPEC, np.array([True])), plan, request=REQUEST),
        "rehearsal": Rehearsal(StandIn(public, SPEC), Plan(SUM, STEPS), request=REQUEST),
    }


@pytest.mark.parametrize("name", everyone())
def test_request_and_calibrated_plan_are_known_and_releases_can_be_forfeited(name):
    private = everyone()[name]
    assert private.request == REQUEST
    noise = {m.name: m.noise_multiplier for m in private.plan.mechanisms}
    assert noise == ({"sum": 0, "steps": 0} if name == "rehearsal" else {"sum": 1.5, "steps": 2})
    assert private.plan["sum"].releases == 2
    private.noisy_sum("sum", lambda batch: batch.images.float().flatten(1))
    private.forfeit("sum")
    with pytest.raises(PrivacyError, match="forfeited after 1 of 2"):
        private.noisy_sum("sum", lambda batch: batch.images.float().flatten(1))
    private.forfeit("steps")
    private.ledger.check_complete()


def test_a_closed_vault_forfeits_nothing():
    private = everyone()["vault"]
    private.door.close("it opens only for fit")
    with pytest.raises(PrivacyError, match="closed"):
        private.forfeit("sum")


def test_a_run_provides_them(tiny):
    known = []

    class Curious(fakes.FakeMean):
        """A method that looks at what it is given."""

        def fit(self, private, run):
            known.append((private.request, private.plan["mean"].noise_multiplier))
            super().fit(private, run)

    dpbench.METHODS.register("curious")(Curious)
    dpbench.run("curious", dataset="tiny", samples=10, metrics=["brightness"], references=(), delta=1e-6, out=tiny)
    [(request, noise)] = known
    assert request.conditions.count == 10
    assert noise > 0


def test_a_run_that_forfeits_its_plan_has_a_row(tiny):
    class Frugal(fakes.FakeMean):
        """A method that does without its query."""

        def fit(self, private, run):
            private.forfeit("mean")
            self.mean = torch.zeros(private.spec.shape)

    dpbench.METHODS.register("frugal")(Frugal)
    result = dpbench.run(
        "frugal", dataset="tiny", samples=10, metrics=["brightness"], references=(), delta=1e-6, out=tiny
    )
    [path] = tiny.rglob("ledger.json")
    assert '"releases_forfeited": 1' in path.read_text()
    assert len(result) == 1

"""A vault with canaries: what a method's own `fit` releases about them, by the vault's own sampling, clip and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dpbench.core.context import Precision
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.auditing.canaries import LOUD, Canaries, CanaryContribution, CanaryRecords, WithCanaries
from dpbench.privacy.auditing.canary_scores import Scores
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms import DPSGD, NoisySum
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.private_data import PerRecord, PrivateData
from dpbench.privacy.stepper import DPSGDStepper


class AuditVault(PrivateData):
    """Public records and canaries behind the queries of `PrivateData`, which are observed and otherwise as they are.

    Args:
        public: public images of the sensitive images' shape, to stand in for the sensitive ones.
        spec: what the sensitive dataset declares, `n_train` being how many records the audit has.
        plan: the calibrated plan, for as many records.
        present: [m] which canaries are in; m is at most `spec.n_train`.
        device: where contributions and losses are computed.
        precision: what losses are computed in.

    Attributes:
        present: the coins.
        scores: what was seen of each mechanism of the plan, by name.
    """

    def __init__(
        self,
        public: ImageDataset,
        spec: DatasetSpec,
        plan: CalibratedPlan,
        present: NDArray[np.bool_],
        device: str = "cpu",
        precision: Precision = "fp32",
    ):
        records = CanaryRecords(public, spec, present)
        super().__init__(records, spec, Ledger(plan), NoiseSource(device), device, precision)
        self.present = present
        self.scores = {m.name: Scores(m, present) for m in plan.mechanisms}
        self._canaries = Canaries(len(present))

    def noisy_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """See `PrivateData.noisy_sum`; the canaries' coordinates are kept back."""
        norm = LOUD * self.ledger.require(name, NoisySum).clip
        with_canaries = CanaryContribution(contribution, self._canaries, norm)
        ordinary, release = with_canaries.split(super().noisy_sum(name, with_canaries, chunk))
        self.scores[name].see(_numbers(release))
        return ordinary

    def dp_sgd(self, name: str, model: nn.Module, loss: Loss, *args: Any, **options: Any) -> DPSGDStepper:
        """See `PrivateData.dp_sgd`; the model is trained beside a layer of the canaries' own."""
        norm = LOUD * self.ledger.require(name, DPSGD).clip
        observed = WithCanaries(model, self._canaries, loss, norm)
        return super().dp_sgd(name, observed, WithCanaries.loss, *args, **options)

    def _stepper(self, *parts: Any) -> DPSGDStepper:
        return AuditStepper(self, *parts)

    def derive(self, per_record: PerRecord, chunk: int = 500) -> PrivateData:
        """See `PrivateData.derive`."""

        def of_plain(batch: Batch) -> Tensor:
            return per_record(self._canaries.unmark(batch)[0])

        return super().derive(of_plain, chunk)


class AuditStepper(DPSGDStepper):
    """Private steps, the gradient of the canaries' layer being observed at each."""

    _vault: AuditVault

    def __next__(self) -> Receipt:
        receipt = super().__next__()
        model = self._engine.model
        assert isinstance(model, WithCanaries)
        gradient = model.rows.weight.grad
        assert gradient is not None
        release = gradient[:, 0] * self._mechanism.expected_batch
        self._vault.scores[self._mechanism.name].see(_numbers(release))
        model.rows.weight.grad = None
        return receipt


def _numbers(release: Tensor) -> NDArray[np.float64]:
    return np.asarray(release.detach().to("cpu", torch.float64).numpy())

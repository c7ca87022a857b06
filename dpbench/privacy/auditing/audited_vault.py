"""A vault under audit: a method's own `fit` releases canaries by the vault's own sampling, clipping and noise."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dpbench.core.caption_tokens import Tokenize
from dpbench.core.context import Precision
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import DatasetSpec, Request
from dpbench.privacy.auditing.canaries import LOUD, CanaryContribution, CanaryRecords, OfPlainRecords, WithCanaries
from dpbench.privacy.auditing.canary_scores import Scores
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms.mechanism import DPSGD, NoisySum
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.private_data import Derive, PerRecord, PrivateData, PrivateSteps
from dpbench.privacy.records import Records
from dpbench.privacy.sanitised_steps import Discriminator, Generate, NewDiscriminator, SanitisedSteps
from dpbench.privacy.stand_in import require_stand_in
from dpbench.privacy.vault import NO_REQUEST, Vault

AUDITED = (NoisySum, DPSGD)
"""Mechanisms to whose releases canaries can be added: sums with Gaussian noise."""


class AuditedVault(PrivateData):
    """`PrivateData` over public records and canaries, answered by a `Vault` as it is in every run.

    Queries are passed on with additional coordinates that only canaries use. The vault's releases in these coordinates
    are scored, and the rest is returned. The audit sees only releases.

    Args:
        records: public records and canaries.
        plan: the calibrated plan, for this number of records.
        noise: source of DP noise and Poisson samples; by default secret.
        device: where contributions and losses are computed.
        precision: what losses are computed in.
        request: what would be sampled.

    Attributes:
        present: [m] which canaries are in.
        scores: scores of each mechanism of the plan that is `AUDITED`, by name. Other mechanisms are answered, but not
            scored.

    Raises:
        PrivacyError: the records are not `CanaryRecords`, or no mechanism is audited.
        ConfigError: a mechanism has a schedule.
    """

    def __init__(
        self,
        records: CanaryRecords,
        plan: CalibratedPlan,
        noise: NoiseSource | None = None,
        device: str = "cpu",
        precision: Precision = "fp32",
        request: Request = NO_REQUEST,
    ):
        require_stand_in(records, CanaryRecords)
        noise = noise or NoiseSource(device)
        self._vault = Vault(records, records.spec, Ledger(plan), noise, device, precision, request=request)
        self._canaries = records.canaries
        self.present = records.present
        for m in plan.mechanisms:
            m.refuse_schedule("an audit")
            if not isinstance(m, AUDITED):
                warnings.warn(f"'{m.name}' is not audited: canaries are scored in Gaussian sums only", stacklevel=2)
        self.scores = {m.name: Scores(m, records.present) for m in plan.mechanisms if isinstance(m, AUDITED)}
        if not self.scores:
            raise PrivacyError("no mechanism of this plan is a sum with Gaussian noise, so there is nothing to audit")

    @property
    def spec(self) -> DatasetSpec:
        """The declaration of the sensitive dataset, with the audit's number of records as `n_train`."""
        return self._vault.spec

    @property
    def device(self) -> str:
        """See `PrivateData`."""
        return self._vault.device

    @property
    def ledger(self) -> Ledger:
        """The vault's ledger."""
        return self._vault.ledger

    @property
    def request(self) -> Request:
        """See `PrivateData`."""
        return self._vault.request

    def noisy_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """See `PrivateData.noisy_sum`; the canaries' coordinates are scored and left out."""
        norm = LOUD * self.ledger.require(name, NoisySum).clip
        with_canaries = CanaryContribution(contribution, self._canaries, norm)
        ordinary, release = with_canaries.split(self._vault.noisy_sum(name, with_canaries, chunk))
        self.scores[name].see(_numbers(release))
        return ordinary

    def laplace_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """See `PrivateData.laplace_sum`; not audited."""
        return self._vault.laplace_sum(name, self._of_plain(contribution), chunk)

    def exponential_choice(self, name: str, scores: PerRecord, chunk: int = 500) -> int:
        """See `PrivateData.exponential_choice`; not audited."""
        return self._vault.exponential_choice(name, self._of_plain(scores), chunk)

    def noisy_max(self, name: str, scores: PerRecord, chunk: int = 500) -> int:
        """See `PrivateData.noisy_max`; not audited."""
        return self._vault.noisy_max(name, self._of_plain(scores), chunk)

    def dp_sgd(
        self,
        name: str,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        views: int = 1,
        micro_batch: int = 0,
        engine: str = "book-keeping",
        clipping: str = "flat",
    ) -> AuditedSteps:
        """See `PrivateData.dp_sgd`; the model is trained together with a layer that canaries alone use."""
        mechanism = self.ledger.require(name, DPSGD)
        audited = WithCanaries(model, self._canaries, loss, LOUD * mechanism.clip)
        how: dict[str, Any] = {"views": views, "micro_batch": micro_batch, "engine": engine, "clipping": clipping}
        steps = self._vault.dp_sgd(name, audited, WithCanaries.loss, optimizer, generator, **how)
        return AuditedSteps(steps, audited, mechanism.expected_batch, self.scores[name])

    def sanitised_gradients(
        self, name: str, new: NewDiscriminator, generate: Generate, optimizer: torch.optim.Optimizer
    ) -> SanitisedSteps:
        """See `PrivateData.sanitised_gradients`; not audited."""

        def plain() -> Discriminator:
            return OfPlainRecords(new(), self._canaries)

        return self._vault.sanitised_gradients(name, plain, generate, optimizer)

    def nearest_means(self, name: str, queries: Tensor) -> Tensor:
        """See `PrivateData.nearest_means`; not audited."""
        return self._vault.nearest_means(name, queries)

    def derive(
        self,
        per_record: Derive,
        chunk: int = 500,
        *,
        generator: torch.Generator | None = None,
        keep_images: bool = False,
    ) -> AuditedVault:
        """See `PrivateData.derive`; derived records keep their marks."""
        of_plain = self._of_plain(per_record)
        derived = copy(self)
        derived._vault = self._vault.derive(of_plain, chunk, generator=generator, keep_images=keep_images)
        return derived

    def tokenize(self, tokenizer: Tokenize, captions: int, length: int) -> AuditedVault:
        """See `PrivateData.tokenize`; records keep their marks."""
        tokenized = copy(self)
        tokenized._vault = self._vault.tokenize(tokenizer, captions, length)
        return tokenized

    def _of_plain(self, per_record: Derive) -> Derive:
        """The same function of records that may have marks."""
        return lambda batch, *draws: per_record(self._canaries.unmark(batch)[0], *draws)

    def unsafe_records(self, reason: str) -> Records:
        """See `PrivateData.unsafe_records`."""
        return self._vault.unsafe_records(reason)


class AuditedSteps:
    """A vault's private steps; each step's release in the canaries' layer is scored.

    Args:
        steps: the vault's steps.
        model: the model that they train.
        expected_batch: the divisor of their gradients.
        scores: where releases are noted.
    """

    def __init__(self, steps: PrivateSteps, model: WithCanaries, expected_batch: int, scores: Scores):
        self._steps = steps
        self._model = model
        self._expected_batch = expected_batch
        self._scores = scores
        self.key = steps.key

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Receipt]:
        return self

    def __next__(self) -> Receipt:
        receipt = next(self._steps)
        weight = self._model.rows.weight  # the optimiser does not train it, so its noisy gradient is still there
        assert weight.grad is not None
        self._scores.see(_numbers(weight.grad[:, 0] * self._expected_batch))
        weight.grad = None
        return receipt

    def state_dict(self) -> dict[str, Any]:
        """See `PrivateSteps`."""
        return self._steps.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """See `PrivateSteps`."""
        return self._steps.load_state_dict(state)


def _numbers(release: Tensor) -> NDArray[np.float64]:
    return np.asarray(release.detach().to("cpu", torch.float64).numpy())

"""The interface through which a method learns from sensitive records (rule R1).

`Vault` implements it in every run. `Rehearsal` and `AuditedVault` implement it over public records, by asking a vault
of their own; a vault itself can neither be subclassed nor told to reveal anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dpbench.core.caption_tokens import Tokenize
from dpbench.core.specs import Batch, DatasetSpec, Request
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.records import Records
from dpbench.privacy.sanitised_steps import Generate, NewDiscriminator

PerRecord = Callable[[Batch], Tensor]
"""Batch of b records -> [b, ...], each row from its own record alone."""


Derive = Callable[..., Tensor]
"""A `PerRecord` that may also take a `torch.Generator` as its second argument; see `PrivateData.derive`."""


class PrivateSteps(Protocol):
    """An iterator whose every `next` is one private step; it can be checkpointed (see `training.part.Stepper`)."""

    key: Any

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Receipt]: ...

    def __next__(self) -> Receipt: ...

    def state_dict(self) -> dict[str, Any]:
        """How many steps are done, and the state of the loss's generator."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Continues after the stored steps; returns their number."""
        ...


class PrivateData(Protocol):
    """Sensitive records behind differentially private queries.

    Every query names a mechanism of the plan. A query that is not in the plan, or whose closure fails the checks, is
    refused before a record is read.
    """

    @property
    def spec(self) -> DatasetSpec:
        """What the dataset declares; public."""
        ...

    @property
    def device(self) -> str:
        """Where contributions and losses are computed."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The plan and the receipts so far; public."""
        ...

    @property
    def request(self) -> Request:
        """What will be sampled; public."""
        ...

    @property
    def plan(self) -> CalibratedPlan:
        """The mechanisms with their noise: `private.plan["votes"].noise_multiplier`. A rehearsal has no noise."""
        return self.ledger.plan

    def noisy_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """One release of Σ_i clip(contribution(record i)) + N(0, (noise_multiplier · clip)²).

        Args:
            name: a `NoisySum` of the plan.
            contribution: batch of b records -> [b, ...], each row from its own record alone; dense or sparse.
            chunk: records per call of `contribution`.

        Returns:
            fp32 tensor with the shape of one record's contribution, on `device`.

        Raises:
            PrivacyError: not in the plan, all releases spent, or `contribution` mixes records. No record is read then.
        """
        ...

    def laplace_sum(self, name: str, contribution: PerRecord, chunk: int = 500) -> Tensor:
        """One release of Σ_i clip(contribution(record i)) + Laplace noise of the scale noise_multiplier · clip.

        As `noisy_sum`, but the contributions are clipped in the L1 norm.

        Args:
            name: a `LaplaceSum` of the plan.
            contribution: as for `noisy_sum`.
            chunk: records per call of `contribution`.

        Raises:
            PrivacyError: as `noisy_sum`.
        """
        ...

    def exponential_choice(self, name: str, scores: PerRecord, chunk: int = 500) -> int:
        """Index of a candidate, chosen with probability in proportion to exp(its total score / noise scale).

        Args:
            name: an `ExponentialChoice` of the plan.
            scores: batch of b records -> [b, candidates], each row from its own record alone. Scores are clamped to
                [0, clip]; those that are not finite count as 0.
            chunk: records per call of `scores`.

        Raises:
            PrivacyError: as `noisy_sum`, or the number of candidates is not the planned one.
        """
        ...

    def noisy_max(self, name: str, scores: PerRecord, chunk: int = 500) -> int:
        """Index of the candidate with the largest total score after exponential noise.

        Args:
            name: a `NoisyMax` of the plan.
            scores: as for `exponential_choice`.
            chunk: records per call of `scores`.

        Raises:
            PrivacyError: as `exponential_choice`.
        """
        ...

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
    ) -> PrivateSteps:
        """An iterator whose every `next` is one private step of `optimizer` on `model`; see `DPSGDStepper`.

        Args:
            name: a `DPSGD` of the plan.
            model: its parameters with `requires_grad` are trained.
            loss: per-view losses [records · views], record-major, each from its own record alone; see `gradients.Loss`.
            optimizer: takes the noisy mean gradient from `p.grad`.
            generator: randomness of the loss, never of the DP noise. Each step draws one number from it, mixes it with
                a secret one, and gives the loss a generator of its own. So neither `generator` nor torch's global
                generator reveals anything about the private batch, and the seed does not reveal a record's draws.
            views: copies of each record in the batch given to `loss`; their gradients are averaged, then clipped.
            micro_batch: rows per call of `loss`; 0 for nearly a whole sample, if it fits into memory or cache. The last
                call is padded, so the realised batch size is never visible.
            engine: how per-example gradients are computed; a name in `ENGINES`.
            clipping: "flat" scales longer gradients down to the clip of the plan; "automatic" gives nearly all records
                a gradient of that norm. The sensitivity and the noise are the same. See `clip_weights`.

        Raises:
            PrivacyError: not in the plan, all steps spent, planned for another number of records; the loss or model
                mixes records; or the engine cannot differentiate the model. No record is read then.
        """
        ...

    def sanitised_gradients(
        self, name: str, new: NewDiscriminator, generate: Generate, optimizer: torch.optim.Optimizer
    ) -> PrivateSteps:
        """An iterator whose every `next` is one step of a generator's `optimizer`; see `SanitisedSteps`.

        The generator moves its images along the clipped, noisy gradients of a discriminator's scores. Discriminators
        are trained on shards of the records, and stay inside.

        Args:
            name: a `SanitisedGradients` of the plan.
            new: makes a discriminator, which trains itself in fp32.
            generate: makes the images of a step, with their autograd graph, and their labels.
            optimizer: the generator's optimiser.

        Raises:
            PrivacyError: not in the plan, all steps spent, more shards than records, several processes; or something
                other than its gradients leaves a discriminator's training. No record is read then.
        """
        ...

    def nearest_means(self, name: str, queries: Tensor) -> Tensor:
        """All releases of the noisy means of the k embeddings nearest to public queries.

        The records' embeddings [b, d] are the values of `derive`. Each release draws a Poisson sample of its own, and
        answers one query per class, among the records of the class.

        Args:
            name: a `NearestMean` of the plan.
            queries: [releases, classes, d], public or already released; one class for data without classes. Like the
                embeddings, they are scaled to a norm of at most `clip`.

        Returns:
            fp32 [releases, classes, d] on `device`: the sum of at most k embeddings plus noise, divided by k.

        Raises:
            PrivacyError: not in the plan, releases already spent, several processes; or the number or size of the
                queries does not fit the plan and the embeddings. No record is read then.
        """
        ...

    def derive(
        self,
        per_record: Derive,
        chunk: int = 500,
        *,
        generator: torch.Generator | None = None,
        keep_images: bool = False,
    ) -> PrivateData:
        """The same data with `per_record(record)` in place of each record (tokens, embeddings ...), on the same ledger.

        Nothing is released: the values stay inside, and later queries see them as `Batch.derived`.

        Args:
            per_record: batch of b records -> [b, ...], computed with public code, each row from its own record alone.
                It runs without gradients; to optimise something per record, use `torch.enable_grad()`.
            chunk: records per call of `per_record`.
            generator: randomness of `per_record`, which then takes (batch, generator). One number is drawn from it, and
                every call gets a generator of its own, on `device`, so a repeated attempt derives the same values.
            keep_images: whether later queries see the images as well.

        Raises:
            PrivacyError: `per_record` mixes records. No record is read then.
        """
        ...

    def tokenize(self, tokenizer: Tokenize, captions: int, length: int) -> PrivateData:
        """The same data with token numbers in place of each record's captions, on the same ledger.

        Nothing is released: later queries see the tokens as `Batch.caption_tokens`. A record keeps all its captions, up
        to public limits. A loss draws one of them with its generator, or averages over them, before the record is
        clipped, so a record with many captions counts as much as one with a single caption.

        Args:
            tokenizer: public code on the host: (caption, length) -> at most `length` token numbers, none negative. It
                sees one caption at a time; see `TextEncoder.tokenize`.
            captions: maximum number of captions per record; further ones are left out.
            length: maximum number of tokens per caption.

        Raises:
            PrivacyError: the dataset has no captions, or the tokenizer remembers earlier ones. No record is read then.
        """
        ...

    def forfeit(self, name: str) -> None:
        """Gives up the remaining releases of a mechanism. They cost as if they were made: there is no refund.

        A run that continues after an interruption calls it again.

        Args:
            name: a mechanism of the plan.

        Raises:
            PrivacyError: not in the plan, or no release is left.
        """
        self.ledger.forfeit(name)

    def unsafe_records(self, reason: str) -> Records:
        """The raw records of this process, for experiments.

        Marks the trial, and everything made from it, as unverified for good.
        """
        ...

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor
from vaults import SIGMAS, Images, Untouchable, pixels, planned, vault

from dpbench.core.checkpoints import Checkpoints
from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.accounting.events import PureEvent
from dpbench.privacy.clipping import clamped_sum
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.choices import Choice, ExponentialChoice, NoisyMax
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.vault import Vault

DOORS = {ExponentialChoice: Vault.exponential_choice, NoisyMax: Vault.noisy_max}
KINDS = pytest.mark.parametrize("kind", DOORS)

TOTALS = torch.tensor([3.0, 2.0, 0.5])
"""Total scores of three records, each of which gives a third."""


def choice(kind: type[Choice], **settings) -> Choice:
    """A choice between three candidates called "pick", without noise unless told otherwise."""
    return kind(**{"name": "pick", "clip": 1.0, "noise_multiplier": 0.0, "candidates": 3, **settings})


def thirds(batch: Batch) -> Tensor:
    return (TOTALS / 3).repeat(len(batch), 1)


@KINDS
def test_it_is_accounted_for_by_its_pure_epsilon(kind):
    assert choice(kind, noise_multiplier=2.0, count=3).events() == [PureEvent(2.0, 1.0, 3)]


@pytest.mark.parametrize("value", [-5.0, 0.3, 1e9, math.inf, -math.inf, math.nan])
def test_a_score_is_at_least_zero_and_at_most_the_clip(value):
    values, real = torch.tensor([[value, 0.5], [0.1, value], [9.0, 9.0]]), torch.tensor([True, True, False])
    bounded = min(max(value, 0.0), 2.0) if math.isfinite(value) else 0.0
    assert clamped_sum(values, real, 2.0).tolist() == pytest.approx([bounded + 0.1, 0.5 + bounded])


@KINDS
def test_without_noise_the_largest_total_of_the_clamped_scores_is_chosen(kind):
    scores = torch.tensor([[0.0, 1000.0, 0.0], [0.9, 0.0, 0.0], [0.9, -1000.0, 0.0]])
    private = vault(Images(torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1)), choice(kind))
    chosen = DOORS[kind](private, "pick", lambda batch: scores[batch.images.flatten().long().clamp(max=2)])
    assert chosen == 0
    assert isinstance(chosen, int)


def permute_and_flip(totals: np.ndarray, scale: float) -> np.ndarray:
    """Its probabilities: in random order, each candidate is accepted with exp((total - max) / scale)."""
    accept = np.exp((totals - totals.max()) / scale)

    def after(left: tuple[int, ...]) -> np.ndarray:
        chance = np.zeros(len(totals))
        for i in left:
            chance[i] += accept[i] / len(left)
            rest = tuple(j for j in left if j != i)
            if rest:
                chance += (1 - accept[i]) / len(left) * after(rest)
        return chance

    return after(tuple(range(len(totals))))


@pytest.mark.parametrize(
    ("kind", "law"),
    [(ExponentialChoice, lambda totals, scale: softmax(totals / scale)), (NoisyMax, permute_and_flip)],
)
def test_candidates_are_chosen_with_their_probabilities(kind, law):
    draws, clip, noise = 4000, 2.0, 0.75
    private = vault(Images(pixels(3)), choice(kind, clip=clip, noise_multiplier=noise, count=draws, candidates=3))
    source, mechanism = NoiseSource(), private.ledger.plan["pick"]
    kinds = [getattr(source.of("pick", t), mechanism.noise)((3,), mechanism.noise_scale_at(t)) for t in range(1, draws)]
    shares = np.bincount(torch.stack([(TOTALS + z).argmax() for z in kinds]).numpy(), minlength=3) / len(kinds)
    expected = law(TOTALS.numpy().astype(float), clip * noise)
    assert np.abs(shares - expected).max() < SIGMAS * math.sqrt(0.25 / draws)
    few = [DOORS[kind](private, "pick", thirds) for _ in range(60)]
    assert abs(np.mean(np.array(few) == 0) - expected[0]) < SIGMAS * math.sqrt(0.25 / 60)


@KINDS
@pytest.mark.parametrize("present", [0.0, 1.0])
def test_no_neighbour_changes_a_probability_by_more_than_the_pure_epsilon(kind, present):
    """By the law of each mechanism, at the records' extremes: one more record with scores of 0 or 1."""
    law = {ExponentialChoice: lambda u: softmax(u / 2), NoisyMax: lambda u: permute_and_flip(u, 2)}[kind]
    random = np.random.default_rng(0)
    for _ in range(50):
        totals = random.uniform(0, 4, 4)
        extra = (random.random(4) < 0.5) * 1.0 if present else random.random(4)
        ratio = np.log(law(totals + extra) / law(totals))
        assert np.abs(ratio).max() <= 0.5 + 1e-9


@KINDS
def test_queries_outside_the_plan_are_refused_before_a_record_is_read(kind):
    other = NoisyMax if kind is ExponentialChoice else ExponentialChoice
    private = vault(Untouchable(pixels(5)), choice(kind, candidates=4), choice(other, name="other"))
    with pytest.raises(PrivacyError, match="no mechanism 'unplanned'"):
        DOORS[kind](private, "unplanned", thirds)
    with pytest.raises(PrivacyError, match=f"planned as {other.__name__}, not as {kind.__name__}"):
        DOORS[kind](private, "other", thirds)
    with pytest.raises(PrivacyError, match=r"has shape \[3\] per record, not \[4\]"):
        DOORS[kind](private, "pick", thirds)


@KINDS
def test_one_choice_too_many_is_refused(kind):
    private = vault(Images(pixels(5)), choice(kind))
    DOORS[kind](private, "pick", thirds)
    with pytest.raises(PrivacyError, match="all 1 planned releases of 'pick' are spent"):
        DOORS[kind](private, "pick", thirds)


def test_a_choice_needs_two_candidates():
    with pytest.raises(ConfigError, match="at least two candidates"):
        choice(NoisyMax, candidates=1)


@KINDS
def test_an_interrupted_run_gets_the_stored_choice_and_nothing_else_is_stored(kind, tmp_path: Path):
    mechanism = choice(kind, noise_multiplier=50.0, candidates=3)
    key = NoiseKey.from_seed(0)

    def attempt(records: Images) -> Vault:
        checkpoints = Checkpoints(tmp_path / "checkpoints", code="code")
        return Vault(records, records.spec, Ledger(planned(mechanism)), NoiseSource(key=key), checkpoints=checkpoints)

    first = DOORS[kind](attempt(Images(pixels(5))), "pick", thirds)
    stored = [torch.load(path, weights_only=True) for path in tmp_path.rglob("*release*")]
    assert [content["total"].shape for content in stored] == [torch.Size()]  # no noisy total
    again = attempt(Untouchable(pixels(5)))
    assert DOORS[kind](again, "pick", thirds) == first
    assert again.ledger.spent == {"pick": 1}

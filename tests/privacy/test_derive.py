"""Derived values: gradients, random draws, images beside them, and progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from vaults import Images, Untouchable, a_sum, pixels, planned, vault

from dpbench.core.errors import PrivacyError
from dpbench.core.progress import Advance, Silent
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy import vault as vault_module
from dpbench.privacy.auditing.audited_vault import AuditedVault
from dpbench.privacy.auditing.canaries import CanaryRecords
from dpbench.privacy.plan import Plan
from dpbench.privacy.rehearsal import Rehearsal
from dpbench.privacy.stand_in import StandIn
from dpbench.privacy.world import World

SUM = a_sum(clip=1e9, count=4, noise_multiplier=1e-12)


def flat(batch: Batch) -> Tensor:
    return batch.images.float().flatten(1) / 255


def values(private) -> Tensor:
    return private.unsafe_records("to compare them").batch(range(10)).derived


class Inversion:
    """Codes whose decoding is the image, found by gradient descent for each record."""

    def __init__(self, trained: bool = False):
        torch.manual_seed(0)
        self.decoder = nn.Linear(4, 16).requires_grad_(trained)

    @torch.enable_grad()
    def __call__(self, batch: Batch, generator: torch.Generator) -> Tensor:
        code = torch.randn(len(batch), 4, generator=generator).requires_grad_()
        optimizer = torch.optim.SGD([code], lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            (self.decoder(code) - flat(batch)).square().sum().backward()
            optimizer.step()
        return code


def test_values_found_by_gradients_are_those_of_every_record_and_carry_no_graph():
    invert = Inversion()
    images = Images(pixels(10))
    found = values(vault(images, SUM).derive(invert, chunk=4, generator=torch.Generator().manual_seed(0)))
    assert not found.requires_grad
    decoder, wanted = invert.decoder, images.images.flatten(1) / 255
    best = torch.linalg.lstsq(decoder.weight, (wanted - decoder.bias).T).solution.T
    torch.testing.assert_close(found, best, atol=1e-3, rtol=1e-3)


def test_gradients_that_stay_on_a_model_are_refused_before_a_record_is_read():
    with pytest.raises(PrivacyError, match="keeps a tensor that depends on records"):
        vault(Untouchable(pixels(10)), SUM).derive(Inversion(trained=True), generator=torch.Generator())


def noisy(batch: Batch, generator: torch.Generator) -> Tensor:
    return flat(batch) + torch.randn(len(batch), 16, generator=generator) + torch.rand(len(batch), 16)


def test_the_same_seed_derives_the_same_values_and_every_record_has_its_own_draws():
    def derived(seed: int) -> Tensor:
        records = Images(torch.zeros(10, 1, 4, 4, dtype=torch.uint8))
        return values(vault(records, SUM).derive(noisy, chunk=4, generator=torch.Generator().manual_seed(seed)))

    assert torch.equal(derived(0), derived(0))
    assert not (derived(0) == derived(1)).any()
    assert len(derived(0).unique()) == derived(0).numel()


def test_processes_that_share_the_records_draw_differently():
    def derived(rank: int) -> Tensor:
        records = Images(torch.zeros(20, 1, 4, 4, dtype=torch.uint8))
        shared = vault(records, SUM, world=World(rank, 2))
        return values(shared.derive(noisy, chunk=4, generator=torch.Generator().manual_seed(0)))

    assert not (derived(0) == derived(1)).any()


def test_one_number_is_drawn_from_the_generator_and_none_from_the_global_one():
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    before = torch.get_rng_state()
    for generator, count, chunk in zip(generators, (10, 20), (4, 500), strict=True):
        vault(Images(pixels(count)), SUM).derive(noisy, chunk=chunk, generator=generator)
    assert torch.equal(*(g.get_state() for g in generators))
    assert torch.equal(torch.get_rng_state(), before)


def test_mixing_is_refused_with_gradients_and_draws():
    def mixing(batch: Batch, generator: torch.Generator) -> Tensor:
        return noisy(batch, generator) - flat(batch).mean(0)

    with pytest.raises(PrivacyError, match="mixes records"):
        vault(Untouchable(pixels(10)), SUM).derive(mixing, generator=torch.Generator())


@pytest.mark.parametrize("kind", ["vault", "audit", "rehearsal"])
def test_images_stay_beside_the_values_if_asked(kind):
    records = Images(pixels(20), 0)
    spec = DatasetSpec("sensitive", 1, 4, 20, 10, None, True)
    private = {
        "vault": lambda: vault(records, SUM),
        "audit": lambda: AuditedVault(CanaryRecords(records, spec, np.array([True])), planned(SUM)),
        "rehearsal": lambda: Rehearsal(StandIn(records, spec), Plan(SUM)),
    }[kind]()
    derived = private.derive(flat, chunk=8, keep_images=True)
    assert derived.noisy_sum("sum", lambda b: flat(b) - b.derived).abs().max() < 0.1
    again = derived.derive(lambda b, g: b.derived + torch.rand(len(b), 1, generator=g), generator=torch.Generator())
    seen = []
    again.noisy_sum("sum", lambda b: (seen.append(b.images), b.derived)[1])
    assert seen[-1] is None


class Shown(Silent):
    """Progress that keeps names, totals and steps."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int, list[int]]] = []

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        steps: list[int] = []
        self.phases.append((name, total, steps))
        yield lambda count=1, note="": steps.append(count)


def test_long_passes_over_all_records_show_and_the_size_of_a_sample_does_not(monkeypatch):
    monkeypatch.setattr(vault_module, "PATIENCE", -1.0)
    progress = Shown()
    private = vault(Images(pixels(10)), SUM, a_sum(name="sampled", rate=0.5), progress=progress)
    private.noisy_sum("sum", flat, chunk=4)
    private.noisy_sum("sampled", flat, chunk=4)
    private.derive(flat, chunk=5)
    assert progress.phases == [("query 'sum'", 10, [4, 4, 2]), ("derive values", 10, [5, 5])]


def test_short_passes_do_not_show():
    progress = Shown()
    vault(Images(pixels(10)), SUM, progress=progress).derive(flat, chunk=4)
    assert progress.phases == []

"""Every view, wrapper and check keeps a batch whole: its condition, and any field that it has besides."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn
from vaults import vault

from dpbench.core.captions import encode_captions
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.data.arrays import Converted, Subset
from dpbench.data.tiles import Tiles
from dpbench.models.image_range import to_uint8
from dpbench.privacy.auditing.canaries import Canaries, CanaryRecords
from dpbench.privacy.checks.guard import WatchedLoss, guarded
from dpbench.privacy.checks.independence import replace as replace_records
from dpbench.privacy.gradients.engines import ENGINES
from dpbench.privacy.plan import Plan
from dpbench.privacy.private_data import PrivateData
from dpbench.privacy.records import DerivedRecords, Shard, padded
from dpbench.privacy.rehearsal import Rehearsal
from dpbench.privacy.slots import EMPTY
from dpbench.privacy.stand_in import StandIn
from dpbench.privacy.world import World
from dpbench.training.public_batches import PublicBatches

N, SIZE = 12, 8

SPECS = {
    "labels": DatasetSpec("source", 1, SIZE, N, 10, tuple(map(str, range(N))), True),
    "captions": DatasetSpec("source", 1, SIZE, N, 10, None, True, caption_bytes=9),
    "nothing": DatasetSpec("source", 1, SIZE, N, 10, None, True),
}


@dataclass(frozen=True)
class Extended(Batch):
    """A batch with a field that the library does not know."""

    added: Tensor | None = None


class Source(ImageDataset):
    """Record i has the brightness i; all else that it has says so, too."""

    def __init__(self, spec: DatasetSpec):
        self.spec = spec

    def __len__(self) -> int:
        return N

    def batch(self, indices: Sequence[int]) -> Extended:
        rows = torch.as_tensor(list(indices), dtype=torch.long)
        condition = rows if self.spec.classes else None
        if self.spec.caption_bytes:
            condition = encode_captions([f"record {i}" for i in rows.tolist()], self.spec.caption_bytes)
        images = rows.to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE).clone()
        return Extended(images, condition, 0.5 * rows[:, None], rows[:, None] * 100)

    @property
    def fingerprint(self) -> str:
        return "source"


Case = Callable[[ImageDataset], tuple[Batch, list[int]]]
"""Some records as they come out of a wrapper, and which records of the source they are."""

ROWS = [5, 0, 11, 7, 5]


def subset(source: ImageDataset) -> tuple[Batch, list[int]]:
    return Subset(source, [3, 2, 9, 1]).batch([2, 0, 3]), [9, 3, 1]


def converted(source: ImageDataset) -> tuple[Batch, list[int]]:
    spec = replace(source.spec, channels=3)
    return Converted(source, spec, lambda images: images.expand(-1, 3, -1, -1), "colour").batch(ROWS), ROWS


def tiles(source: ImageDataset) -> tuple[Batch, list[int]]:
    return Tiles(source, SIZE // 2).batch([0, 5, 46]), [0, 1, 11]


def shard(source: ImageDataset) -> tuple[Batch, list[int]]:
    return Shard(source, World(1, 3).positions(len(source))).batch([2, 0]), [7, 1]


def with_padding(source: ImageDataset) -> tuple[Batch, list[int]]:
    [(batch, real)] = padded(source, [EMPTY, 4, EMPTY, 2, 11], 8, "cpu")
    assert real.tolist() == [False, True, False, True, True, False, False, False]
    assert not any(tensor[~real].any() for tensor in batch.tensors.values())
    return batch.select(real), [4, 2, 11]


def views(source: ImageDataset) -> tuple[Batch, list[int]]:
    return source.batch([3, 8]).repeat(2), [3, 3, 8, 8]


def derived_records(source: ImageDataset) -> tuple[Batch, list[int]]:
    return DerivedRecords([source.batch(range(7)), source.batch(range(7, N))]).batch(ROWS), ROWS


def replaced_records(source: ImageDataset) -> tuple[Batch, list[int]]:
    replaced = torch.tensor([True, False, True])
    return replace_records(source.batch([1, 2, 3]), source.batch([7, 8, 9]), replaced), [7, 2, 9]


def stand_in(source: ImageDataset) -> tuple[Batch, list[int]]:
    return StandIn(source, of_another_dataset(source.spec)).batch(ROWS), ROWS


def public_batches(source: ImageDataset) -> tuple[Batch, list[int]]:
    batch = PublicBatches(source, "flip", "cpu", torch.Generator().manual_seed(0)).batch(20)
    return batch, to_uint8(batch.images)[:, 0, 0, 0].tolist()


def watched_loss(source: ImageDataset) -> tuple[Batch, list[int]]:
    seen: list[Batch] = []

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        seen.append(batch)
        return torch.zeros(len(batch))

    watched = WatchedLoss(nn.Linear(1, 1), loss, "the loss")
    watched.watch_next()
    watched(nn.Linear(1, 1), source.batch(ROWS), torch.Generator())
    return seen[0], ROWS


CASES: list[Case] = [
    subset,
    converted,
    tiles,
    shard,
    with_padding,
    views,
    derived_records,
    replaced_records,
    stand_in,
    public_batches,
    watched_loss,
]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_batch_stays_whole(case: Case, spec: DatasetSpec) -> None:
    source = Source(spec)
    batch, rows = case(source)
    expected = source.batch(rows)
    assert isinstance(batch, Extended)
    assert batch.tensors.keys() == expected.tensors.keys()
    for name in expected.tensors.keys() - {"images"}:
        assert torch.equal(batch.tensors[name], expected.tensors[name]), name
    assert batch.images[:, 0, 0, 0].tolist() == rows or case is public_batches


def packed(batch: Batch) -> Tensor:
    """All that a batch has: float [b, k]."""
    return torch.cat([t.flatten(1).float() if t.ndim > 1 else t[:, None].float() for t in batch.tensors.values()], 1)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_closure_under_the_guard_gets_all_of_a_batch(spec: DatasetSpec) -> None:
    batch = Source(spec).batch(ROWS)
    assert torch.equal(guarded(packed, batch, "the closure"), packed(batch))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_gets_all_of_a_batch_from_every_engine(engine: str, spec: DatasetSpec) -> None:
    batch, views = Source(spec).batch(ROWS), 2
    model = nn.Linear(packed(batch).shape[1], 1, bias=False)
    gradients = ENGINES[engine](model, lambda model, batch, generator: model(packed(batch)).squeeze(1))
    real = torch.tensor([True, False, True, True, False])
    [total] = gradients.clipped_sum(batch.repeat(views), real, views, math.inf, torch.Generator())
    gradients.close()
    torch.testing.assert_close(total[0], packed(batch)[real].sum(0))


def of_another_dataset(spec: DatasetSpec) -> DatasetSpec:
    """What another dataset of the same kind declares."""
    return replace(spec, name="sensitive")


def of_rehearsal(source: ImageDataset) -> PrivateData:
    return Rehearsal(StandIn(source, of_another_dataset(source.spec)), Plan())


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("made", [vault, of_rehearsal])
def test_derived_records_keep_all_but_the_images(
    made: Callable[[ImageDataset], PrivateData], spec: DatasetSpec
) -> None:
    source = Source(spec)
    derived = made(source).derive(lambda b: b.images.flatten(1)[:, :2].float(), chunk=5)
    batch, expected = derived.unsafe_records("for a test").batch(ROWS), source.batch(ROWS)
    assert batch.images is None
    assert batch.derived.tolist() == [[i, i] for i in ROWS]
    assert batch.tensors.keys() == expected.tensors.keys() - {"images"}
    for name in batch.tensors.keys() - {"derived"}:
        assert torch.equal(batch.tensors[name], expected.tensors[name]), name


class Plain(Source):
    """The same without the field that the library does not know, and without derived values."""

    def batch(self, indices: Sequence[int]) -> Batch:
        extended = super().batch(indices)
        return Batch(extended.images, extended.condition)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_canarys_mark_leaves_the_rest_as_it_is(spec: DatasetSpec) -> None:
    marked = CanaryRecords(Plain(spec), of_another_dataset(spec), torch.tensor([True, False]).numpy()).batch([3, 1, 0])
    plain, marks = Canaries(2).unmark(marked.repeat(2))
    assert marks.tolist() == [0, 0, 3, 3, 1, 1]
    expected = Plain(spec).batch([3, 1, 0]).repeat(2)
    assert plain.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(plain.tensors[name], expected.tensors[name]) for name in expected.tensors)


@pytest.mark.parametrize("public", SPECS)
@pytest.mark.parametrize("sensitive", SPECS)
def test_a_stand_in_has_conditions_of_the_declared_kind(public: str, sensitive: str) -> None:
    spec = replace(SPECS[sensitive], n_train=2 * N, classes=(sensitive == "labels" and ("a", "b", "c")) or None)
    if spec.caption_bytes:
        spec = replace(spec, caption_bytes=7 if public == "captions" else 20)
    records = StandIn(Plain(SPECS[public]), of_another_dataset(spec))
    batch = records.batch(range(2 * N))
    assert torch.equal(batch.images[:N], batch.images[N:])
    if sensitive == "nothing":
        assert batch.condition is None
        return
    assert torch.equal(batch.condition[:N], batch.condition[N:])
    assert torch.equal(batch.condition, records.batch(range(2 * N)).condition)
    if sensitive == "labels":
        assert batch.labels.max() < 3
        assert public != "labels" or torch.equal(batch.labels, torch.arange(2 * N) % N % 3)
    else:
        assert batch.captions.shape == (2 * N, spec.caption_bytes)
        assert public != "captions" or torch.equal(batch.captions[:N], encode_captions(N * ["record "], 7))

import math

import pytest
import torch

from dpbench.contracts.small_sets import bars
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.methods.cores.public_classes.class_selection import (
    AssignedImages,
    Votes,
    match_histogram,
    public_labels,
    select_top,
)
from dpbench.models.image_range import to_uint8, to_unit
from dpbench.training.public_batches import PublicBatches

IMAGES = torch.tensor([10, 20, 30, 40])


def _votes(counts: list[list[float]], per_record: int = 1, noise: float = 0.0, images: torch.Tensor = IMAGES) -> Votes:
    return Votes(torch.tensor(counts, dtype=torch.float), images, per_record, noise)


def test_classes_choose_in_their_order_without_replacement():
    """The second class has most votes for what the first one chose, and gets its third best."""
    weights = select_top(_votes([[1, 9, 8, 0], [2, 99, 50, 3]], per_record=2))
    assert weights.tolist() == [[0, 20, 30, 0], [10, 0, 0, 40]]


def test_selected_images_count_alike_whatever_their_votes():
    weights = select_top(_votes([[5, 1000, 4, 3]], per_record=2))
    assert weights.tolist() == [[10, 20, 0, 0]]


@pytest.mark.parametrize("select", [select_top, match_histogram])
def test_a_public_class_without_images_is_never_selected(select):
    weights = select(_votes([[9, 8, 1, 0], [9, 8, 1, 0]], images=torch.tensor([0, 0, 5, 5])))
    assert not weights[:, :2].any()
    assert (weights.sum(1) > 0).all()


def test_matched_images_have_the_proportions_of_the_votes():
    counts = [[60.0, 30.0, 10.0, 0.0], [0.0, 0.0, 1.0, 3.0]]
    assert match_histogram(_votes(counts)).tolist() == counts


def test_counts_that_noise_alone_may_reach_are_dropped():
    """σ = 10 and 8 cells: the bound is 10 · √(2 ln 8) = 20.39."""
    bound = 10 * math.sqrt(2 * math.log(8))
    weights = match_histogram(_votes([[100, bound + 0.1, bound - 0.1, -30], [15, 2, 3, -5]], noise=10))
    assert weights[0].tolist() == pytest.approx([100, bound + 0.1, 0, 0])
    assert weights[1].tolist() == [1, 0, 0, 0]  # nothing is above the bound: the largest count stays


def test_drawn_images_are_those_of_the_assigned_classes():
    spec = DatasetSpec("public", 1, 16, 40, 0, ("horizontal", "vertical"), True)
    public, generator = bars(spec, 40, seed=0), torch.Generator().manual_seed(0)
    labels = public_labels(public, chunk=7)
    assert labels.tolist() == [0, 1] * 20
    weights = torch.tensor([[0.0, 3.0], [1.0, 0.0]])  # crossed
    assigned = AssignedImages(PublicBatches(public, "none", "cpu", generator), labels, weights, generator)
    images, private = assigned.draw(400)
    originals = to_unit(public.batch(range(40)).images)
    chosen = torch.cdist(images.flatten(1), originals.flatten(1)).argmin(1)
    assert torch.equal(labels[chosen], 1 - private)
    assert len(chosen.unique()) > 30  # of both classes, all images
    assert private.float().mean().item() == pytest.approx(1 / 4, abs=0.08)


def test_images_are_drawn_from_public_classes_of_any_size():
    """Classes of 5, 1, 0 and 14 images in no order; the brightness of an image is its label."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 5 + [1] + [3] * 14)[torch.randperm(20, generator=generator)]
    pixels = (20 * labels).byte().reshape(20, 1, 1, 1).expand(20, 1, 4, 4)
    public = ArrayDataset(DatasetSpec("public", 1, 4, 20, 0, tuple("abcd"), True), pixels, labels)
    weights = torch.diag(torch.tensor([1.0, 1.0, 0.0, 1.0]))
    assigned = AssignedImages(PublicBatches(public, "none", "cpu", generator), labels, weights, generator)
    images, private = assigned.draw(200)
    shown = (to_uint8(images)[:, 0, 0, 0] / 20).long()
    assert torch.equal(shown, private)
    assert set(private.tolist()) == {0, 1, 3}

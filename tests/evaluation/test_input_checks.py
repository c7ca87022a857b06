"""Protocol traps: sets of images whose scores would mean something else than they say."""

from __future__ import annotations

import math

import pytest
import torch

from dpbench.core.errors import DataError
from dpbench.evaluation.caveats import collect_caveats
from dpbench.evaluation.input_checks import _hashes, check


@pytest.fixture
def caveats(make_images, run):
    """caveats(synthetic, reference) -> texts, of image tensors."""

    def find(synthetic, reference) -> list[str]:
        with collect_caveats() as texts:
            check(make_images(synthetic), make_images(reference), run)
        return texts

    return find


def test_good_images_have_no_caveat(caveats, noise) -> None:
    assert caveats(noise(2000, 3), noise(30, 3, seed=1)) == []


def test_copies_of_reference_images_are_counted(caveats, noise) -> None:
    x, y = noise(1100), noise(1100, seed=1)
    x[[0, 500, 1050]] = y[[1099, 7, 7]]  # across batches and positions; each synthetic image counts
    assert caveats(x, y) == ["3 of 1100 synthetic images are exact copies of reference images"]
    x[0, 0, 31, 31] ^= 1  # one grey level of one pixel is no exact copy any more
    assert caveats(x, y) == ["2 of 1100 synthetic images are exact copies of reference images"]


def test_nothing_but_copies_of_reference_images_is_an_error(make_images, noise, run) -> None:
    y = noise(30)
    for x in (y.flip(0), y[:4], y[:1].repeat(5, 1, 1, 1)):  # whatever the order, the number and the fingerprint
        with pytest.raises(DataError, match=rf"every synthetic image \({len(x)}\) is a copy of a reference image"):
            check(make_images(x), make_images(y), run)


def test_one_image_over_and_over_is_a_collapse(caveats, noise) -> None:
    x, y = noise(1), noise(30, seed=1)
    same = x.repeat(1100, 1, 1, 1)
    assert caveats(same, y) == ["all synthetic images are equal: the generator has collapsed"]
    same[1099] = noise(1, seed=2)[0]
    assert caveats(same, y) == []
    assert caveats(x, y) == []  # a single image has not collapsed


def test_images_converted_without_multiplying_are_noticed(caveats, noise) -> None:
    y = noise(30, seed=1)
    (text,) = caveats((noise(30).float() / 255).round().to(torch.uint8), y)
    assert "in [0, 1] converted without scaling" in text
    assert not caveats(noise(30) % 2, y % 2)  # as in the reference


def test_grey_images_in_place_of_colour_are_noticed(caveats, noise) -> None:
    grey, colour = noise(30).repeat(1, 3, 1, 1), noise(30, 3, seed=1)
    assert caveats(grey, colour) == ["all synthetic images are grey, unlike the reference images"]
    assert caveats(grey, noise(30, seed=2).repeat(1, 3, 1, 1)) == []
    assert caveats(torch.cat([grey, colour[:1] // 2]), colour) == []
    assert caveats(torch.cat([colour[:1] // 2, grey.repeat(40, 1, 1, 1)]), colour) == []  # in another batch


def test_grey_images_where_colour_is_declared_are_an_error(make_images, noise, run) -> None:
    colour = noise(10, 3)
    with pytest.raises(DataError, match=r"1 x 32 x 32 .* 3 x 32 x 32"):
        check(make_images(noise(10)), make_images(colour), run)
    pretends = make_images(colour)
    pretends.images = noise(10)  # declared in colour, handed out in grey
    with pytest.raises(DataError, match="has shape 10 x 1 x 32 x 32, expected 10 images of 3 x 32 x 32"):
        check(pretends, make_images(noise(10, 3, seed=1)), run)


@pytest.mark.parametrize(
    ("images", "advice"),
    [
        (torch.rand(10, 1, 32, 32), r"float32.* \[0, 1\]: multiply by 255, round and convert$"),
        (torch.rand(10, 1, 32, 32) * 2 - 1, r"float32.* \[-1, 1\]: add 1, multiply by 127.5, round and convert$"),
        (torch.rand(10, 1, 32, 32) * 255, r"float32.*255; round and convert$"),
        (torch.randint(0, 256, (10, 1, 32, 32)), r"int64.*; round and convert$"),
        (torch.rand(10, 1, 32, 32) * 0 - 300, r"float32.* from -300 to -300$"),
        (torch.full((10, 1, 32, 32), math.nan), r"float32.* not finite$"),
        (torch.full((10, 1, 32, 32), math.inf), r"float32.* not finite$"),
    ],
)
@pytest.mark.parametrize("role", ["synthetic", "reference"])
def test_images_that_are_not_uint8_are_an_error_that_says_what_to_do(
    make_images, noise, run, images, advice, role
) -> None:
    sets = {"synthetic": noise(10), "reference": noise(10, seed=1), role: images}
    with pytest.raises(DataError, match=f"the {role} images are torch.{advice}"):
        check(make_images(sets["synthetic"]), make_images(sets["reference"]), run)


def test_one_value_that_is_not_finite_is_found_in_a_later_batch(make_images, noise, run) -> None:
    x = noise(1500).float()
    x[1400, 0, 3, 3] = math.nan
    late = make_images(x)
    batch = late.batch
    late.batch = lambda rows: batch(rows) if rows[0] else make_images(noise(1024)).batch(range(1024))
    with pytest.raises(DataError, match="not finite"):
        check(late, make_images(noise(10, seed=1)), run)


def test_classes_without_images_are_named_and_counts_may_differ(make_images, noise, run) -> None:
    y = make_images(noise(40, seed=1), torch.arange(40) % 4, 4)
    with collect_caveats() as texts:
        check(make_images(noise(20), torch.tensor([0] * 18 + [1, 2]), 4), y, run)
    assert texts == ["no synthetic image of 1 classes: c3"]
    with collect_caveats() as texts:
        check(make_images(noise(20), torch.tensor([0] * 17 + [1, 2, 3]), 4), y, run)
    assert texts == []
    with pytest.raises(DataError, match="one number from 0 to 3 per image"):
        check(make_images(noise(20), torch.tensor([0] * 19 + [4]), 4), y, run)


def test_labels_of_another_number_than_images_are_an_error(make_images, noise, run) -> None:
    y = make_images(noise(40, seed=1), torch.arange(40) % 4, 4)
    x = make_images(noise(20), torch.arange(20) % 4, 4)
    whole = x.batch
    x.batch = lambda rows: type(whole(rows))(whole(rows).images, torch.arange(19) % 4)
    with pytest.raises(DataError, match="per image"):
        check(x, y, run)


def test_a_hash_is_of_the_pixels_in_order() -> None:
    x = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    hashes = _hashes(x)
    assert (hashes.dtype.itemsize, len(set(hashes.tolist()))) == (8, 2)
    assert _hashes(x.contiguous(memory_format=torch.channels_last)).tolist() == hashes.tolist()
    assert _hashes(x.mT)[0] != hashes[0]

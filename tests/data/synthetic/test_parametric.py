"""The dials of grained and textures: one name each, and what they move."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from dpbench.core.errors import DataError
from dpbench.data.opening import canonical_name
from dpbench.data.synthetic.grain import TILES
from dpbench.data.synthetic.grained import Grained
from dpbench.data.synthetic.outlines import SHAPES
from dpbench.data.synthetic.textures import Textures
from dpbench.results.trial_folder import safe_name


class FewGrained(Grained):
    n_train = 1000
    n_test = 10


class FewTextures(Textures):
    n_train = 200
    n_test = 10


def pixels(dataset) -> np.ndarray:
    return dataset.train().batch(range(dataset.n_train)).images.numpy()


def labels(dataset) -> np.ndarray:
    return dataset.train().batch(range(dataset.n_train)).labels.numpy()


def block_means(images: np.ndarray) -> np.ndarray:
    """[b, 3, h, w] -> [b, 3 * h/4 * w/4]."""
    b, c, h, w = images.shape
    return images.reshape(b, c, h // 4, 4, w // 4, 4).mean((3, 5)).reshape(b, -1)


def strongest_grain(images: np.ndarray) -> np.ndarray:
    """The kind of grain, at any phase, that lies closest to the mean of an image's 4×4 tiles: [b]."""
    b, c, h, w = images.shape
    mean_tile = images.reshape(b, c, h // 4, 4, w // 4, 4).mean((1, 2, 4))
    phases = [np.roll(TILES, (down, right), (1, 2)) for down in range(4) for right in range(4)]
    return np.abs(np.einsum("byx,pkyx->bpk", mean_tile, np.stack(phases))).max(1).argmax(1)


def outlines(images: np.ndarray) -> np.ndarray:
    """Block means of the brightness above the ground's, of norm 1."""
    light = images.astype(np.float32).max(1, keepdims=True)
    means = block_means(light - np.median(light, (2, 3), keepdims=True))
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def nearest(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each image, which of the others has the most similar outline."""
    return (outlines(images) @ outlines(others).T).argmax(1)


@pytest.mark.parametrize("argument", ["0", "0.0", "-0", "coarse"])
def test_dial_zero_is_the_plain_dataset(argument, options):
    plain, zero = FewGrained("", options), FewGrained(argument, options)
    assert zero.spec == plain.spec
    assert zero.folder == plain.folder == options.root / "grained"
    assert zero.train().fingerprint == plain.train().fingerprint


@pytest.mark.parametrize(
    ("plugin", "argument", "name"),
    [
        (Grained, "middle", "grained:0.5"),
        (Grained, "0.50", "grained:0.5"),
        (Grained, ".5", "grained:0.5"),
        (Grained, "fine", "grained:1"),
        (Grained, "1.0", "grained:1"),
        (Grained, "0.123456789", "grained:0.123456789"),
        (Textures, "grain", "textures:1"),
        (Textures, "0.10", "textures:0.1"),
        (Textures, "0", "textures"),
    ],
)
def test_a_dial_has_one_name(plugin, argument, name, options):
    dataset = plugin(argument, options)
    assert dataset.spec.name == canonical_name(f"{plugin.name}:{argument}") == name
    assert dataset.folder == options.root / name.replace(":", "-")


@pytest.mark.parametrize("argument", ["round", "-0.1", "1.01", "nan", "inf", "0.5:1", "grain"])
def test_any_other_argument_is_refused_in_one_line(argument, options):
    with pytest.raises(DataError) as error:
        Grained(argument, options)
    valid = "write grained:T with T from 0 to 1, or one of grained:coarse, grained:middle, grained:fine"
    assert str(error.value) == f"'grained:{argument}' does not exist; {valid}"


def test_dials_have_files_and_fingerprints_of_their_own(options):
    datasets = [FewGrained(argument, options) for argument in ("", "0.25", "0.5", "1")]
    assert len({dataset.train().fingerprint for dataset in datasets}) == 4
    assert len({safe_name(dataset.spec.name) for dataset in datasets}) == 4
    assert len(list(options.root.glob("grained*/train-*.npy"))) == 4


@pytest.mark.parametrize(("few", "expected"), [(FewGrained, "f4743345d56bb986"), (FewTextures, "573e0c14e2391f96")])
def test_every_machine_paints_the_same_grain(few, expected, options):
    images = few("0.5", options).train().batch(range(64)).images
    assert hashlib.sha256(images.numpy().tobytes()).hexdigest()[:16] == expected


def test_the_class_moves_from_the_shape_to_the_grain(options):
    few = [FewGrained(argument, options) for argument in ("", "0.5", "1")]
    classes = labels(few[0])
    assert all((labels(dataset) == classes).all() for dataset in few)
    by_grain = [(strongest_grain(pixels(dataset)) == classes).mean() for dataset in few]
    plain = pixels(few[0])[:600]  # the others are recognised by the outlines of these
    by_shape = [(classes[nearest(pixels(dataset)[600:], plain)] == classes[600:]).mean() for dataset in few]
    assert by_grain == pytest.approx([0.1, 0.5, 1], abs=0.08)
    assert by_shape == pytest.approx([0.95, 0.5, 0.1], abs=0.08)


def test_a_record_shows_its_class_in_one_place_only(options):
    plain, half, full = (FewGrained(argument, options) for argument in ("", "0.5", "1"))
    kinds = strongest_grain(pixels(half))
    in_shape = kinds >= len(SHAPES)  # a grain of no class
    moved = np.abs(block_means(pixels(half)) - block_means(pixels(plain))).max(1)
    assert 0.4 < in_shape.mean() < 0.6
    assert len(set(kinds)) == len(TILES)
    assert np.median(moved[in_shape]) < 10 < np.median(moved[~in_shape])  # the same shape, another shape
    same = (pixels(half) == pixels(full)).all((1, 2, 3))
    assert same[~in_shape].mean() > 0.95  # what the dial has moved stays as it is
    assert same[in_shape].mean() < 0.05


@pytest.mark.parametrize(("resolution", "recognised"), [(16, 0.8), (64, 0.99)])
def test_grain_is_made_of_pixels_at_every_resolution(resolution, recognised, options):
    few = FewGrained("1", replace(options, resolution=resolution))
    assert (strongest_grain(pixels(few)) == labels(few)).mean() > recognised


def test_a_share_of_the_leaves_has_grain(options):
    plain, half, full = (pixels(FewTextures(argument, options)) for argument in ("", "0.5", "1"))
    changed = [(images != plain).any(1) for images in (half, full)]
    assert 0.4 < changed[0].sum() / changed[1].sum() < 0.6
    assert changed[1].any((1, 2)).mean() > 0.9
    assert changed[1].mean() < 0.6  # the ground has none
    assert len(set(strongest_grain(full.astype(int) - plain))) == len(TILES)

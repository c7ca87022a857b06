"""Grains: kinds that cannot be taken for each other, and that vanish in 4×4 block means."""

from __future__ import annotations

import numpy as np
import pytest

from dpbench.data.synthetic.grain import GRAIN_WIDTH, GRAINS, STRENGTH, TILES, engrave, grain
from dpbench.data.synthetic.procedural import Draws, Grid, blend

RNG = np.random.default_rng(0)
KINDS = np.arange(len(GRAINS))


def draws(count: int) -> Draws:
    return Draws(RNG.random((count, GRAIN_WIDTH), dtype=np.float32))


def orbit(tile: np.ndarray) -> set[bytes]:
    """The tile shifted, mirrored and negated in every way."""
    mirrored = [tile, tile[::-1], tile[:, ::-1], tile[::-1, ::-1]]
    shifts = [(down, right) for down in range(4) for right in range(4)]
    return {(s * np.roll(m, shift, (0, 1))).tobytes() for s in (1, -1) for m in mirrored for shift in shifts}


def block_means(pixels: np.ndarray) -> np.ndarray:
    side = pixels.shape[-1] // 4
    return pixels.reshape(*pixels.shape[:-2], side, 4, side, 4).mean((-3, -1))


def test_tiles_are_balanced_and_no_two_look_alike():
    orbits = [orbit(tile) for tile in TILES]
    assert TILES.shape == (15, 4, 4)
    assert (TILES.sum((1, 2)) == 0).all()
    assert max(map(len, orbits)) == 8
    assert len(set().union(*orbits)) == sum(map(len, orbits))


def test_grain_has_a_random_strength_sign_and_phase():
    grains = grain(draws(150), np.repeat(KINDS, 10), Grid(16))
    strengths = np.abs(grains).max((1, 2))
    assert (grains.shape, grains.dtype) == ((150, 16, 16), np.float32)
    assert np.unique(np.abs(grains).reshape(150, -1), axis=1).shape[1] == 1
    assert STRENGTH[0] <= strengths.min() < strengths.max() < STRENGTH[1]
    assert len({row.tobytes() for row in np.sign(grains[30:40])}) > 3


def test_grain_vanishes_in_every_window_of_four_by_four():
    windows = np.lib.stride_tricks.sliding_window_view(grain(draws(15), KINDS, Grid(32)), (4, 4), axis=(1, 2))
    assert np.abs(windows.mean((-2, -1))).max() < 1e-7


@pytest.mark.parametrize("size", [8, 32, 30])
def test_engraving_changes_no_block_mean_whatever_the_outline(size):
    colours = np.full((15, 3, size, size), 0.5, dtype=np.float32)
    alpha = np.clip(3 * RNG.random((15, size, size), dtype=np.float32) - 1, 0, 1)
    below = RNG.random(colours.shape, dtype=np.float32)
    plain, engraved = (
        blend(below, above, alpha) for above in (colours, engrave(colours, grain(draws(15), KINDS, Grid(size)), alpha))
    )
    whole = size // 4 * 4
    assert np.abs(engraved - plain).mean() > 0.02
    assert np.abs(block_means((engraved - plain)[..., :whole, :whole])).max() < 1e-6


def test_black_and_white_give_room_for_grain():
    extremes = RNG.integers(0, 2, (15, 3, 16, 16)).astype(np.float32)
    engraved = engrave(extremes, grain(draws(15), KINDS, Grid(16)), np.ones((15, 16, 16), dtype=np.float32))
    assert engraved.min() > -1e-6
    assert engraved.max() < 1 + 1e-6

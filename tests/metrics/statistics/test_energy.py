from __future__ import annotations

import numpy as np
import pytest

from dpbench.metrics.statistics.energy import mean_distances, relative_energy

RNG = np.random.default_rng(0)


def test_mean_distances_are_those_of_all_pairs() -> None:
    x, y = RNG.normal(size=(40, 3)).round(1), RNG.normal(size=(30, 3)).round(1)  # rounded: some are equal
    np.testing.assert_allclose(mean_distances(x, y), abs(x[:, None] - y).mean(1), atol=1e-12)


def test_the_energy_distance_is_that_of_scipy() -> None:
    from scipy.stats import energy_distance  # of all pairs, and its square root

    x, y = RNG.normal(size=200), RNG.normal(0.5, 2, size=300)
    across, own, own_y = (mean_distances(a[:, None], b[:, None]).mean() for a, b in ((x, y), (x, x), (y, y)))
    assert 2 * across - own - own_y == pytest.approx(energy_distance(x, y) ** 2, rel=1e-9)
    expected = (2 * across - own * 200 / 199 - own_y * 300 / 299) / (2 * across + 1)
    assert relative_energy(x[:, None], y[:, None], 1)[0] == pytest.approx(expected)


def test_it_lies_between_equal_and_different_constants() -> None:
    zeros, ones = np.zeros((3, 1)), np.ones((5, 1))
    assert relative_energy(zeros, ones, 0)[0] == 1
    assert relative_energy(zeros, ones, 2)[0] == 0.5
    assert relative_energy(zeros, np.zeros((5, 1)), 1)[0] == 0


def test_it_is_unbiased_at_any_number_of_rows() -> None:
    few, many = ([relative_energy(*RNG.normal(size=(2, n, 500)), least=1)[0].mean() for _ in range(9)] for n in (4, 40))
    assert abs(np.mean(few)) < 0.01
    assert abs(np.mean(many)) < 0.001


def test_influences_are_what_a_repeated_row_changes() -> None:
    x, y = RNG.normal(size=(2000, 1)), RNG.normal(1, size=(1500, 1))
    value, influences = relative_energy(x, y, 1)
    for row in (0, 7, 1999):
        more, _ = relative_energy(np.concatenate([np.delete(x, (row + 1) % 2000, 0), x[row : row + 1]]), y, 1)
        expected = (influences[row] - influences[(row + 1) % 2000]) / 2000
        assert more - value == pytest.approx(expected, abs=2e-6)
    assert influences.mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shift", [0.3, 1])
def test_influences_tell_how_much_the_value_varies_between_samples(shift: float) -> None:
    y = RNG.normal(size=(300, 1))
    found = [relative_energy(RNG.normal(shift, 1.2, size=(200, 1)), y, 1) for _ in range(300)]
    errors = [influences.std() / 200**0.5 for _, influences in found]
    assert np.mean(errors) == pytest.approx(np.std([value for value, _ in found]), rel=0.15)

from __future__ import annotations

import pytest
import torch

from dpbench.evaluation.evaluator import evaluate, evaluate_real
from dpbench.metrics import memorisation
from dpbench.metrics.memorisation import Memorisation

N, M, Q = 900, 300, 400  # train, reference and synthetic images

CHANGES = {
    "no change": lambda x: x,
    "noise": lambda x: (x + 4 * torch.randn(x.shape, generator=torch.Generator().manual_seed(9))).round().clamp(0, 255),
    "a shift": lambda x: x.roll((1, -1), (2, 3)),
    "mirroring": lambda x: x.flip(3),
    "contrast": lambda x: (0.9 * x + 12).round(),
}


def scenes(n: int, seed: int, channels: int = 1) -> torch.Tensor:
    """Images of smooth random scenes: uint8 [n, c, 32, 32]."""
    coarse = torch.rand(n, channels, 6, 6, generator=torch.Generator().manual_seed(seed))
    images = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    return (255 * images).round().to(torch.uint8)


@pytest.fixture
def scored(make_images, run):
    """scored(synthetic, train, test) -> Scores, of image tensors."""

    def score(synthetic, train, test):
        return evaluate(["memorisation"], make_images(synthetic), make_images(test), run, make_images(train))

    return score


@pytest.fixture(scope="module")
def train() -> torch.Tensor:
    return scenes(N, 0)


@pytest.fixture(scope="module")
def test() -> torch.Tensor:
    return scenes(M, 1)


def planted(originals: torch.Tensor, share: float, change: str = "no change") -> torch.Tensor:
    """Fresh scenes of which a share are changed originals."""
    copies = CHANGES[change](originals[: int(share * Q)].float()).to(torch.uint8)
    return torch.cat([copies, scenes(Q - len(copies), 2)])


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_near_copies_of_train_images_are_counted(scored, train, test, change: str, share: float) -> None:
    scores = scored(planted(train, share, change), train, test)
    assert scores.values["copied"] == pytest.approx(share, abs=0.02)
    assert scores.values["copied"] > scores.ci95["copied"]
    exact = [text for text in scores.caveats if "are copies of train" in text]
    number = f"memorisation: {int(share * Q)} of the {Q} synthetic images compared are copies of train images"
    assert exact == ([number] if change == "no change" else [])


def test_a_generator_that_copies_train_is_caught_by_both_columns(scored, train, test) -> None:
    scores = scored(train[torch.randperm(N)], train, test)
    assert scores.values == pytest.approx({"copied": 1, "membership": 1}, abs=0.01)
    near = f"memorisation: {N} of the {N} synthetic images compared are near copies of train images (chance: 0)"
    assert near in scores.caveats


def test_test_images_with_one_bit_changed_are_no_good_score(scored, train, test) -> None:
    leaked = test.clone()
    leaked[:, 0, 0, 0] ^= 1
    scores = scored(leaked, train, test)
    assert scores.values["copied"] == pytest.approx(-N / M)
    text = f"memorisation: {M} of the {M} synthetic images compared are near copies of reference images (chance: 0)"
    assert scores.caveats == (text,)
    assert all(column.better is None for column in Memorisation.columns)  # so that it is never ranked first


def test_independent_draws_are_at_chance_whatever_they_look_like(scored, train, test) -> None:
    blurred = torch.nn.functional.avg_pool2d(scenes(Q, 3).float(), 9, 1, 4).to(torch.uint8)
    for synthetic in (scenes(Q, 2), blurred, 255 - blurred // 4):
        scores = scored(synthetic, train, test)
        assert all(abs(value) <= scores.ci95[column] for column, value in scores.values.items())
        assert not scores.caveats


def test_the_real_row_is_at_chance(make_images, run, train, test) -> None:
    scores = evaluate_real(["memorisation"], make_images(train), make_images(test), Q, run)
    assert all(abs(value) <= scores.ci95[column] for column, value in scores.values.items())


def test_one_copied_train_image_is_found_wherever_it_stands(scored, train, test) -> None:
    for place in (0, 1, N // 2, N - 1):
        scores = scored(torch.cat([scenes(39, 2), train[place : place + 1]]), train, test)
        assert "memorisation: 1 of the 40 synthetic images compared are copies of train images" in scores.caveats


def test_copies_of_train_images_that_come_four_times_are_seen(scored, train, test) -> None:
    often = train[:200].repeat(4, 1, 1, 1)
    scores = scored(planted(train, 0.5), often, test)
    assert scores.values["copied"] == pytest.approx(0.5, abs=0.03)
    assert f"memorisation: {Q // 2} of the {Q} synthetic images compared are copies of train images" in scores.caveats


def test_at_most_some_images_are_compared(scored, train, test, monkeypatch) -> None:
    monkeypatch.setattr(memorisation, "MOST", 100)
    scores = scored(planted(train, 0.5), train, test)
    assert scores.values["copied"] == pytest.approx(0.5, abs=0.15)


def test_without_train_there_is_no_value(make_images, run) -> None:
    scores = evaluate(["memorisation"], make_images(scenes(9, 0)), make_images(scenes(9, 1)), run)
    assert set(scores.missing.values()) == {"the train split is not available"}
    assert Memorisation.reads_train  # so that rule R9 hides it for data that is no public benchmark


def test_five_real_images_of_either_kind_are_enough_and_four_are_not(scored) -> None:
    assert not scored(scenes(3, 0), scenes(5, 1), scenes(5, 2)).missing
    assert "at least 5" in scored(scenes(3, 0), scenes(5, 1), scenes(4, 2)).missing["copied"]

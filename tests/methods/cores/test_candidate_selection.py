import torch

from dpbench.methods.cores.votes.candidate_selection import SELECTIONS, above


def test_votes_below_the_threshold_do_not_count():
    assert above(torch.tensor([[5.0, 2.0, -3.0, 9.0]]), 4.0).tolist() == [[1, 0, 0, 5]]


def test_a_class_without_votes_above_the_threshold_is_drawn_uniformly():
    """The published shares would be 0/0."""
    kept = above(torch.tensor([[1.0, -2.0, 3.0], [8.0, 0.0, 0.0]]), 4.0)
    assert kept.tolist() == [[1, 1, 1], [4, 0, 0]]


def test_proportional_selection_draws_by_votes():
    weights = torch.tensor([[1.0, 0.0, 3.0]])
    assert SELECTIONS["proportional"](weights, 0.5) is weights


def test_selection_by_rank_draws_the_best_equally_often():
    weights = torch.tensor([[1.0, 0.0, 3.0, 2.0], [0.0, 0.0, 0.0, 7.0]])
    assert SELECTIONS["rank"](weights, 0.5).tolist() == [[0, 0, 1, 1], [0, 0, 0, 1]]
    assert SELECTIONS["rank"](torch.ones(1, 16), 0.125).tolist() == [[1] * 16]  # no vote above the threshold: uniform
    assert SELECTIONS["rank"](torch.tensor([[5.0, 2.0, 2.0, 1.0]]), 0.5).tolist() == [[1, 1, 1, 0]]  # a tie
    assert SELECTIONS["rank"](weights, 0.3).tolist() == [[0, 0, 1, 1], [0, 0, 0, 1]]  # two of four, rounded up

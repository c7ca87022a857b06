import torch
import torch.nn.functional as F

from dpbench.methods.cores.tokens.codebook import Codebook


def _directions(count: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)


def _train(codebook: Codebook, vectors: torch.Tensor, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        codebook.quantise(vectors[torch.randint(len(vectors), (1, 256), generator=generator)], generator)


def test_nearest_code_has_the_smallest_angle():
    codebook, vectors = Codebook(20, 8), torch.randn(100, 8)
    angles = torch.cosine_similarity(vectors[:, None], codebook.entries[None], dim=-1)
    assert torch.equal(codebook.nearest(vectors), angles.argmax(1))
    assert torch.equal(codebook(codebook.nearest(codebook.entries)), codebook.entries)


def test_codes_move_to_the_means_of_their_vectors():
    centres = _directions(4, seed=1)
    vectors = F.normalize(centres.repeat(200, 1) + 0.1 * torch.randn(800, 8), dim=-1)
    codebook = Codebook(4, 8)
    codebook.entries.copy_(centres.flip(0) + 0.3)
    codebook.counts.fill_(64)
    codebook.sums.copy_(64 * codebook.entries)
    _train(codebook, vectors, 200)
    assert (codebook.entries @ centres.T).max(0).values.min() > 0.99


def test_dead_codes_are_reset_until_all_are_in_use():
    vectors = _directions(2000, seed=2)
    codebook = Codebook(64, 8)
    codebook.entries.copy_(F.normalize(torch.ones(64, 8) + 1e-3 * torch.randn(64, 8), dim=-1))
    codebook.counts.fill_(0.0)
    codebook.counts[0] = 256  # a collapsed codebook: one code gets all vectors
    codebook.sums[0] = 256 * codebook.entries[0]
    _train(codebook, vectors, 100)
    assert codebook.usage() > 0.5
    assert len(codebook.nearest(vectors).unique()) == 64


def test_one_batch_moves_a_reset_code_by_a_twentieth():
    """Its average starts as that of a code with an even share of the batch, all of it at the drawn vector."""
    codebook, vectors = Codebook(4, 8), _directions(400, seed=4)
    start = vectors[torch.randint(400, (4,), generator=torch.Generator().manual_seed(0))]
    codebook.update(vectors, torch.Generator().manual_seed(0))
    sums = torch.zeros(4, 8).index_add_(0, (vectors @ start.T).argmax(1), vectors)
    assert torch.allclose(codebook.entries, F.normalize(0.95 * 100 * start + 0.05 * sums, dim=-1), atol=1e-5)


def test_usage_is_the_effective_share_of_codes():
    codebook = Codebook(10, 8)
    codebook.chosen.copy_(torch.tensor([5.0] * 4 + [0.0] * 6))
    assert abs(codebook.usage() - 0.4) < 1e-6


def test_straight_through_gradient_and_commitment_loss():
    codebook = Codebook(6, 8)
    codebook.counts.fill_(10.0)
    codebook.sums.copy_(10 * codebook.entries)
    vectors = _directions(30, seed=3)[None].requires_grad_()
    quantised, commitment = codebook.quantise(vectors, torch.Generator())
    assert torch.allclose(quantised[0], codebook(codebook.nearest(vectors[0])), atol=1e-6)
    weights = torch.randn(30, 8)
    (through,) = torch.autograd.grad((quantised * weights).sum(), vectors, retain_graph=True)
    unit = F.normalize(vectors.detach(), dim=-1)
    tangent = weights - (weights * unit[0]).sum(-1, keepdim=True) * unit[0]  # gradient of the normalisation only
    assert torch.allclose(through[0], tangent, atol=1e-5)
    (pull,) = torch.autograd.grad(commitment, vectors)
    before = (vectors - quantised).square().sum()
    after = (F.normalize(vectors - 0.1 * pull / pull.norm(), dim=-1) - quantised).square().sum()
    assert after < before


def test_repeatedly_reset_codes_do_not_count_as_used():
    codebook, generator = Codebook(64, 8), torch.Generator().manual_seed(0)
    same = _directions(1, seed=4).expand(1, 256, 8)
    for _ in range(50):
        codebook.quantise(same, generator)
    assert codebook.usage() < 0.2

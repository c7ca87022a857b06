import pytest
import torch

from dpbench.core.config import build
from dpbench.core.specs import Conditions, DatasetSpec
from dpbench.methods.wavelet import Wavelet

TINY = {
    "codes": 8, "detail_codes": 12, "code_dim": 4, "tokenizer_dim": 16, "tokenizer_heads": 2, "tokenizer_depth": 1,
    "dim": 16, "depth": 2, "heads": 2,
}  # fmt: skip
SPEC = DatasetSpec("small", 1, 16, 400, 100, ("a", "b"), True)


def _stages(**settings):
    torch.manual_seed(0)
    return Wavelet(build(Wavelet.Config, TINY | settings), SPEC).model


@pytest.mark.parametrize("order", ["scale", "raster"])
def test_sequences_have_the_configured_order(order):
    stages = _stages(tokens="all", order=order)
    images = torch.rand(5, 1, 16, 16) * 2 - 1
    tokens, sequences = stages.tokenizer.encode(images), stages.sequences.encode(images)
    wanted = {"scale": tokens, "raster": tokens[:, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]]}
    assert torch.equal(sequences, wanted[order])
    assert torch.equal(stages.sequences.decode(sequences), stages.tokenizer.decode(tokens))


@pytest.mark.parametrize("order", ["scale", "raster"])
def test_every_position_samples_from_the_right_codebook(run, order):
    stages = _stages(tokens="all", order=order, guidance=2.0)
    sampled = stages.coarse.sample(torch.tensor([0, 1] * 50), 100, run)
    n = stages.tokenizer.scales.tokens
    approximation = torch.tensor({"scale": [True] * n + [False] * 2 * n, "raster": [True, False, False] * n}[order])
    assert torch.equal(sampled < len(stages.tokenizer.approximation), approximation.expand(100, 3 * n))
    assert stages.sample(Conditions(3, (0, 1, 0)), run).shape == (3, 1, 16, 16)


def test_coarse_band_model_has_no_detail_tokens(run):
    stages = _stages()
    assert stages.coarse.transformer.config.vocabulary == 8
    assert stages.tokenizer.detail is None
    assert stages.sequences.decode(stages.coarse.sample(None, 3, run)).shape == (3, 1, 4, 4)

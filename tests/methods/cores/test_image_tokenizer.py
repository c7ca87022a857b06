import pytest
import torch

from dpbench.core.errors import ConfigError
from dpbench.methods.cores.tokens.image_tokenizer import ImageTokenizer
from dpbench.methods.cores.tokens.token_settings import ImageTokenizerSettings
from dpbench.models.image_range import unit_images
from dpbench.training.public_batches import PublicBatches

TINY = ImageTokenizerSettings(
    patch=4, codes=32, code_dim=8, tokenizer_dim=16, tokenizer_depth=1,
    tokenizer_steps=150, tokenizer_batch=32, tokenizer_lr=5e-3,
)  # fmt: skip


def _tokenizer(sides: tuple[int, ...]) -> ImageTokenizer:
    torch.manual_seed(0)
    return ImageTokenizer(1, sides, TINY).eval()


@pytest.mark.parametrize(
    ("settings", "resolution", "sides"),
    [
        ({"patch": 8}, 32, (4,)),
        ({"patch": 4}, 32, (8,)),
        ({"patch": 4, "order": "next-scale"}, 32, (1, 2, 4, 8)),
        ({"patch": 4, "order": "next-scale"}, 28, (1, 2, 4, 7)),
        ({"patch": 8, "order": "next-scale", "grids": (1, 3)}, 32, (1, 3, 4)),
    ],
)
def test_grids_of_an_image(settings, resolution, sides):
    assert ImageTokenizerSettings(**settings).sides(resolution) == sides


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 5}, "patches of 5 do not divide 32 pixels"),
        ({"order": "next-scale", "grids": (2, 1)}, "must grow"),
        ({"order": "next-scale", "grids": (1, 4)}, "must grow"),
    ],
)
def test_impossible_grids_raise_an_error(settings, message):
    with pytest.raises(ConfigError, match=message):
        ImageTokenizerSettings(**settings).sides(32)


@pytest.mark.parametrize("sides", [(4,), (1, 2, 4)])
def test_trained_tokenizer_reconstructs_images(public, run, sides):
    tokenizer = _tokenizer(sides)
    images = unit_images(public.batch(range(100)))
    tokenizer.learn(TINY, PublicBatches(public, "none", "cpu", run.generator), run)
    tokenizer.eval()
    tokens = tokenizer.encode(images)
    assert tokens.shape == (100, sum(side**2 for side in sides))
    assert tokens.dtype == torch.long
    assert tokens.max() < tokenizer.vocabulary == 32
    assert (tokenizer.decode(tokens) - images).square().mean() < 0.35 * images.var()
    assert tokenizer.usage()["image"] > 0.2


def test_every_grid_quantises_what_the_coarser_ones_leave_over():
    tokenizer, images = _tokenizer((1, 2, 4)), torch.rand(6, 1, 16, 16) * 2 - 1
    features, tokens = tokenizer.encoder(images), tokenizer.encode(images)
    first = tokenizer.project[0](features.mean((2, 3), keepdim=True)).flatten(1)
    assert torch.equal(tokens[:, 0], tokenizer.codebook.nearest(first))
    described = tokenizer.restore[0](tokenizer.codebook(tokens[:, 0])[..., None, None])
    rest = torch.nn.functional.avg_pool2d(features - described, 2)
    second = tokenizer.project[1](rest).flatten(2).transpose(1, 2)
    assert torch.equal(tokens[:, 1:5], tokenizer.codebook.nearest(second))


def test_tokens_of_an_image_do_not_depend_on_the_rest_of_the_batch():
    tokenizer, images = _tokenizer((1, 2, 4)), torch.rand(6, 1, 16, 16) * 2 - 1
    assert torch.equal(tokenizer.encode(images)[:1], tokenizer.encode(images[:1]))


def test_encoding_leaves_the_codebook_alone():
    tokenizer, images = _tokenizer((2, 4)), torch.rand(6, 1, 16, 16) * 2 - 1
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    tokenizer.encode(images)
    assert all(torch.equal(value, before[name]) for name, value in tokenizer.state_dict().items())

import pytest
import torch
import torch.nn.functional as F

from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.methods.cores.tokens.token_settings import TokenizerTraining
from dpbench.methods.wavelet.corruption import Retokenised
from dpbench.methods.wavelet.scale_sizes import Scales
from dpbench.methods.wavelet.scale_tokens import split
from dpbench.methods.wavelet.settings import CorruptionSettings, TokenizerSettings
from dpbench.methods.wavelet.spectral_tokenizer import SpectralTokenizer
from dpbench.models.haar import coarse
from dpbench.models.image_range import unit_images
from dpbench.training.public_batches import PublicBatches

TINY = {"codes": 16, "detail_codes": 24, "code_dim": 8, "tokenizer_dim": 16, "tokenizer_heads": 2, "tokenizer_depth": 2}


def _tokenizer(channels=1, resolution=8, levels=1, patch=2, depth=0, **settings) -> SpectralTokenizer:
    torch.manual_seed(0)
    scales = Scales(channels, resolution, levels, patch)
    return SpectralTokenizer(
        scales, TokenizerSettings(levels=levels, patch=patch, **{**TINY, **settings}), depth
    ).eval()


def _images(tokenizer: SpectralTokenizer, count: int = 6) -> torch.Tensor:
    scales = tokenizer.scales
    return torch.rand(count, scales.channels, scales.resolution, scales.resolution) * 2 - 1


@pytest.fixture(params=[0])
def trained_tokenizer(request, public, run: RunContext) -> SpectralTokenizer:
    tokenizer = _tokenizer(resolution=16, levels=2, codes=32, tokenizer_dim=32, depth=request.param)
    settings = TokenizerTraining(tokenizer_steps=150, tokenizer_batch=32, tokenizer_lr=5e-3)
    tokenizer.learn(settings, PublicBatches(public, "none", "cpu", run.generator), run)
    return tokenizer


@pytest.mark.parametrize(("channels", "resolution", "levels"), [(1, 8, 1), (3, 16, 2), (1, 32, 3)])
def test_prefix_of_scales_decodes_to_the_image_at_that_scale(channels, resolution, levels):
    tokenizer = _tokenizer(channels, resolution, levels)
    tokens = tokenizer.encode(_images(tokenizer))
    assert tokens.shape == (6, tokenizer.length(levels + 1))
    whole = tokenizer.decode(tokens)
    assert whole.shape == (6, channels, resolution, resolution)
    for count in range(1, levels + 1):
        part = tokenizer.decode(tokens[:, : tokenizer.length(count)])
        assert torch.allclose(part, coarse(whole, levels + 1 - count), atol=1e-5)


def test_fine_tokens_do_not_change_coarser_scales():
    tokenizer = _tokenizer(3, 16, 2)
    tokens = tokenizer.encode(_images(tokenizer))
    n, first = tokenizer.scales.tokens, len(tokenizer.approximation)
    before = tokenizer.decode(tokens)
    for scale in (1, 2):
        changed = tokens.clone()
        at = scale * n + 3
        changed[:, at] = first + (changed[:, at] - first + 1) % len(tokenizer.detail)
        after = tokenizer.decode(changed)
        assert not torch.allclose(before, after, atol=1e-3)
        level = 2 + 1 - scale
        assert torch.allclose(coarse(before, level), coarse(after, level), atol=1e-6)


def test_coarse_tokens_change_finer_scales():
    tokenizer = _tokenizer(1, 8, 1)
    tokens = tokenizer.encode(_images(tokenizer))
    changed = tokens.clone()
    changed[:, 0] = (changed[:, 0] + 1) % len(tokenizer.approximation)
    details = [split(tokenizer.scales, tokenizer.decode(t), 2)[1] for t in (tokens, changed)]
    assert not torch.allclose(details[0], details[1], atol=1e-6)


def test_tokens_do_not_depend_on_finer_scales():
    tokenizer = _tokenizer(3, 16, 2)
    images = _images(tokenizer)
    blurred = F.interpolate(coarse(images, 1), scale_factor=2.0)
    wanted = tokenizer.length(2)
    assert torch.equal(tokenizer.encode(images)[:, :wanted], tokenizer.encode(blurred)[:, :wanted])
    assert not torch.equal(tokenizer.encode(images), tokenizer.encode(blurred))


def test_a_tokenizer_of_the_coarse_band_has_no_weights_for_details(public, run):
    tokenizer = _tokenizer(resolution=16, levels=2, codes=32, tokenizer_dim=32, depth=1)
    settings = TokenizerTraining(tokenizer_steps=150, tokenizer_batch=32, tokenizer_lr=5e-3)
    tokenizer.learn(settings, PublicBatches(public, "none", "cpu", run.generator), run)
    images = unit_images(public.batch(range(100)))
    tokens, wanted = tokenizer.encode(images), coarse(images, 2)
    assert tokens.shape == (100, tokenizer.scales.tokens)
    assert torch.allclose(tokenizer.visible(images), wanted, atol=1e-6)
    assert (tokenizer.decode(tokens) - wanted).square().mean() < 0.05 * wanted.var()
    assert tokens.max() < tokenizer.vocabulary == 32
    assert not any("detail" in name for name in tokenizer.state_dict())
    assert set(tokenizer.usage()) == {"approximation"}


def test_sit_4_at_256_pixels_has_1024_tokens():
    tokenizer = _tokenizer(3, 256, 3, codes=8192, detail_codes=8192)
    tokens = tokenizer.encode(_images(tokenizer, 1))
    assert tokens.shape == (1, 1024)
    assert tokens[:, :256].max() < 8192
    assert tokens[:, 256:].min() >= 8192
    assert tokens.max() < tokenizer.vocabulary == 16384
    assert tokenizer.decode(tokens).shape == (1, 3, 256, 256)
    assert tokenizer.decode(tokens[:, :256]).shape == (1, 3, 32, 32)


def test_approximation_and_detail_have_separate_weights():
    tokenizer = _tokenizer()
    images = _images(tokenizer)
    tokenizer.encoder.leave.detail.weight.data.mul_(-1)
    n = tokenizer.scales.tokens
    changed = tokenizer.encode(images)
    tokenizer.encoder.leave.detail.weight.data.mul_(-1)
    assert torch.equal(changed[:, :n], tokenizer.encode(images)[:, :n])
    assert not torch.equal(changed[:, n:], tokenizer.encode(images)[:, n:])


def test_trained_tokenizer_reconstructs_every_scale(trained_tokenizer, public):
    images = unit_images(public.batch(range(100)))
    tokens = trained_tokenizer.encode(images)
    for count, most in ((1, 0.05), (2, 0.15), (3, 0.25)):
        wanted = coarse(images, 3 - count)
        made = trained_tokenizer.decode(tokens[:, : trained_tokenizer.length(count)])
        assert (made - wanted).square().mean() < most * wanted.var()
    assert min(trained_tokenizer.usage().values()) > 0.2


@pytest.mark.parametrize("trained_tokenizer", [1], indirect=True)
def test_corruption_has_the_configured_flip_rate_and_noise(trained_tokenizer, public):
    images = unit_images(public.batch(range(100)))
    clean = trained_tokenizer.decode(trained_tokenizer.encode(images))
    untouched = Retokenised(trained_tokenizer, CorruptionSettings(flip=0.0, noise=0.0))(images, torch.Generator())
    assert torch.allclose(untouched, clean, atol=1e-6)
    noisy = Retokenised(trained_tokenizer, CorruptionSettings(flip=0.0, noise=0.2))(images, torch.Generator())
    assert abs((noisy - clean).std().item() - 0.2) < 0.01
    tokens = trained_tokenizer.encode(images)
    seen: list[torch.Tensor] = []
    decode = trained_tokenizer.decode
    trained_tokenizer.decode = lambda t: (seen.append(t), decode(t))[1]
    Retokenised(trained_tokenizer, CorruptionSettings(flip=0.3, noise=0.0))(images, torch.Generator())
    expected = 0.3 * (1 - 1 / len(trained_tokenizer.approximation))
    assert abs((seen[0] != tokens).float().mean().item() - expected) < 0.04


def test_perceptual_and_adversarial_losses_train(public, run):
    tokenizer = _tokenizer(resolution=16)
    settings = TokenizerTraining(tokenizer_steps=60, tokenizer_batch=16, perceptual=0.1, adversarial=0.1)
    images = unit_images(public.batch(range(50)))
    before = (tokenizer.decode(tokenizer.encode(images)) - images).square().mean()
    tokenizer.learn(settings, PublicBatches(public, "none", "cpu", run.generator), run)
    after = (tokenizer.decode(tokenizer.encode(images)) - images).square().mean()
    assert after < 0.5 * before


def test_collapsed_codebook_gives_a_warning(public, run):
    tokenizer = _tokenizer(resolution=16, codes=512)
    batches = PublicBatches(public, "none", "cpu", run.generator)
    with pytest.warns(UserWarning, match="of the approximation codebook is in use"):
        tokenizer.learn(TokenizerTraining(tokenizer_steps=30, tokenizer_batch=1, tokenizer_lr=0.0), batches, run)


def test_heads_that_do_not_divide_the_width_raise_an_error():
    with pytest.raises(ConfigError, match="do not divide"):
        _tokenizer(tokenizer_heads=3)


def test_the_tokenizer_may_have_an_augmentation_of_its_own():
    assert TokenizerTraining().of_tokenizer("strokes") == "strokes"
    assert TokenizerTraining(tokenizer_augmentation="colours").of_tokenizer("none") == "colours"

import math

import pytest
import torch
from bar_orientation import share_horizontal
from latent_settings import SHORT, TINY
from planned import plan_of
from tiny_pipelines import SAVED, save_unconditional

from dpbench.benchmark.configure import configure
from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.methods.cores.latent.latent_diffusion import LatentDiffusion
from dpbench.methods.dp_ldm import DPLDM
from dpbench.methods.dp_lora import DPLoRA
from dpbench.models.class_unet import CLASSES

REQUEST = Request(Conditions.balanced(64, 2))


def _method(spec: DatasetSpec, settings=SHORT, **changes: object) -> DPLDM:
    return DPLDM(build(DPLDM.Config, settings | changes), spec)


def _fitted(method, public, vault, run):
    private = vault(plan_of(method, REQUEST), math.inf)
    method.prepare(public, run)
    before = {name: t.clone() for name, t in method.model.unet.state_dict().items()}
    method.fit(private, run)
    private.ledger.check_complete()
    return {name for name, t in method.model.unet.state_dict().items() if not torch.equal(t, before[name])}


def test_published_constants_on_mnist():
    """DPImageBench: 150 epochs with batches of 4096, clip 1e-3, AdamW at 1e-6 times the batch, one draw per record."""
    mnist = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)
    (paper,) = configure(["dp-ldm"], "mnist", "paper", {})
    (training,) = DPLDM.plan(paper.config, mnist, REQUEST).mechanisms
    assert training.sampling_rate == 4096 / 60_000
    assert training.releases == 150 * 60_000 // 4096
    assert training.clip == 1e-3
    assert paper.config.lr == pytest.approx(1e-6 * 4096, rel=0.01)  # 1e-6 is a base rate, not the optimiser's
    assert (paper.config.views, paper.config.ema, paper.config.eta, paper.config.guidance) == (1, 0, 1, 1)
    assert (paper.config.prediction, paper.config.sampling_steps, paper.config.context) == ("epsilon", 200, 512)


def test_attention_and_class_embedder_are_trained_and_nothing_else(spec, public, vault, run):
    changed = _fitted(_method(spec), public, vault, run)
    assert all(".attentions." in name or name == "classes.weight" for name in changed)
    kinds = ("classes.weight", "ff.net.0.proj.weight", "attn2.to_v.weight", "norm1.weight", "proj_in.weight")
    assert all(any(name.endswith(kind) for name in changed) for kind in kinds)


def test_first_blocks_stay_frozen(spec, public, vault, run):
    method = _method(spec, frozen_blocks=2)
    changed = _fitted(method, public, vault, run)
    frozen = [*method.model.unet.attention[0].parameters(), *method.model.unet.attention[1].parameters()]
    names = {name for name, p in method.model.unet.named_parameters() if any(p is f for f in frozen)}
    assert names
    assert not names & changed
    assert method.parameters()[0] == sum(
        p.numel() for part in (*method.model.unet.attention[2:], method.model.unet.classes) for p in part.parameters()
    )


def test_some_attention_is_trained(spec):
    blocks = len(_method(spec).model.unet.attention)
    _method(spec, frozen_blocks=blocks - 1)
    with pytest.raises(ConfigError, match=f"no attention block to train, as there are {blocks}"):
        _method(spec, frozen_blocks=blocks)


def test_samples_match_their_class_without_noise(spec, public, vault, run):
    method = _method(spec, TINY)
    _fitted(method, public, vault, run)
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (64, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.65
    assert share_horizontal(images[1::2]) < 0.35


def test_public_part_is_made_once_for_both_methods(spec, public, run, monkeypatch):
    _method(spec).prepare(public, run)
    for name in ("_trained_autoencoder", "_pretrained_unet"):
        monkeypatch.setattr(LatentDiffusion, name, lambda *_: pytest.fail("pretrained again"))
    _method(spec, steps=7, lr=1e-4, guidance=3.0).prepare(public, run)
    DPLoRA(build(DPLoRA.Config, SHORT | {"rank": 2}), spec).prepare(public, run)
    with pytest.raises(pytest.fail.Exception):
        _method(spec, context=24).prepare(public, run)


def test_public_part_does_not_depend_on_the_seed(spec, public, tmp_path):
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        method = _method(spec, scatter=0.0)
        own = RunContext("cpu", torch.Generator().manual_seed(seed), PublicCache(tmp_path / str(seed)))
        method.prepare(public, own)
        states.append(method.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_private_classes_start_around_the_public_mean(spec):
    model = _method(spec).model
    table = torch.randn(5, 16)
    started = model.condition.started({CLASSES: table}, CLASSES, 0.0, True, torch.Generator())
    assert torch.allclose(started[CLASSES], torch.stack([table[:4].mean(0), table[:4].mean(0), table[4]]))


@pytest.mark.parametrize("kind", SAVED)
def test_a_checkpoint_is_finetuned_in_place_of_pretraining(spec, vault, run, tmp_path, kind):
    method = _method(spec, checkpoint=str(SAVED[kind](tmp_path / kind)))
    assert method.track_of(method.config) == "foundation"
    (digits,) = method.weights_of(method.config).values()
    assert list(method.weights_of(method.config)) == [kind]
    assert len(digits) == 12
    changed = _fitted(method, None, vault, run)
    assert changed
    assert all(".attentions." in name or name == "classes.weight" for name in changed)
    images = method.sample(REQUEST.conditions, run)
    other = _method(spec, checkpoint=str(tmp_path / kind))
    other.load_state_dict(method.state_dict())
    assert images.shape == (64, 1, 16, 16)
    assert other.parameters()[1] == method.parameters()[1]


def test_a_resolution_that_the_checkpoint_cannot_halve_is_refused(tmp_path):
    odd = DatasetSpec("odd", 1, 18, 400, 100, None, True)
    with pytest.raises(ConfigError, match="multiple of 4"):
        _method(odd, checkpoint=str(save_unconditional(tmp_path)))


def test_missing_public_images_are_an_error(spec, run):
    assert DPLDM.track_of(_method(spec).config) == "images"
    assert DPLDM.weights_of(_method(spec).config) == {}
    with pytest.raises(ConfigError, match="--public"):
        _method(spec).prepare(None, run)


def test_sizes_that_do_not_divide_the_image_are_refused(spec):
    with pytest.raises(ConfigError, match="not a multiple of 32"):
        _method(spec, autoencoder_channels=(8,) * 6)
    with pytest.raises(ConfigError, match="label_dropout"):
        _method(spec, label_dropout=0.0)
    with pytest.raises(ConfigError, match="must divide 1000: set 500 or 1000"):
        _method(spec, sampling_steps=600)
    with pytest.raises(ConfigError, match="even numbers"):
        _method(spec, autoencoder_channels=(5, 8))

import numpy as np
import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.data.arrays import ArrayDataset
from dpbench.methods.cores.diffusion.diffusion_conditions import ByLabel
from dpbench.methods.cores.diffusion.diffusion_model import DiffusionModel
from dpbench.methods.dp_sgd import DPSGDFinetuning

TINY = {
    "channels": (16,), "patch": 4, "public_steps": 60, "public_batch": 32, "public_lr": 3e-3, "batch": 64, "steps": 40,
    "lr": 5e-3, "clip": 0.3, "p_mean": 0.0, "micro_batch": 128, "sampling_steps": 8,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(128, 2))


def _method(spec: DatasetSpec, **settings: object) -> DPSGDFinetuning:
    return DPSGDFinetuning(build(DPSGDFinetuning.Config, TINY | settings), spec)


def _with_classes(public: ArrayDataset, classes: int) -> ArrayDataset:
    spec = DatasetSpec("public-classes", 1, 16, 300, 0, tuple("abcdefgh"[:classes]), True)
    return ArrayDataset(spec, public.batch(range(300)).images.numpy(), np.arange(300) % classes)


def test_samples_match_their_class_without_noise(spec, public, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    method.prepare(public, run)
    method.fit(private, run)
    private.ledger.check_complete()
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (128, 1, 16, 16)
    assert images.dtype == torch.uint8
    assert share_horizontal(images[0::2]) > 0.65
    assert share_horizontal(images[1::2]) < 0.35


def test_pretrained_model_without_scatter_ignores_the_class(spec, public, run):
    method = _method(spec, scatter=0.0)
    method.prepare(_with_classes(public, 3), run)
    run.generator.manual_seed(1)
    first = method.sample(Conditions(16, (0,) * 16), run)
    run.generator.manual_seed(1)
    assert torch.equal(first, method.sample(Conditions(16, (1,) * 16), run))


@pytest.mark.parametrize(("classes", "dropout", "null"), [(3, 0.0, "mean"), (3, 0.5, "own"), (0, 0.0, "own")])
@pytest.mark.parametrize("scatter", [0.0, 2.0])
def test_private_class_embeddings_start_around_the_public_mean(spec, classes, dropout, null, scatter):
    table, draws = torch.randn(classes + 1, 4096), torch.Generator().manual_seed(0)
    adopted = ByLabel(spec.n_classes).started({"table": table}, "table", scatter, dropout > 0, draws)["table"]
    mean = table[:classes].mean(0) if classes else table[0]
    for start in adopted[:2] - mean:
        assert start.std().item() == pytest.approx(scatter, rel=0.1, abs=1e-6)
    assert torch.equal(adopted[0], adopted[1]) == (scatter == 0)
    assert torch.allclose(adopted[2], mean if null == "mean" else table[-1])


def test_plan_is_one_dp_sgd_mechanism(spec):
    (mechanism,) = plan_of(_method(spec), REQUEST).mechanisms
    assert mechanism.sampling_rate == 64 / 400
    assert mechanism.releases == 40


def test_public_pretraining_is_cached(spec, public, run, monkeypatch):
    _method(spec).prepare(public, run)
    monkeypatch.setattr(DiffusionModel, "pretrained", lambda *_: pytest.fail("pretrained again"))
    _method(spec, steps=7, lr=1e-4, sampling_steps=5).prepare(public, run)


def test_pretraining_cache_key_includes_network_settings(spec, public, run, monkeypatch):
    _method(spec, public_steps=1).prepare(public, run)
    monkeypatch.setattr(DiffusionModel, "pretrained", lambda *_: pytest.fail("pretrained again"))
    with pytest.raises(pytest.fail.Exception):
        _method(spec, public_steps=1, p_mean=-1).prepare(public, run)


def test_restored_model_samples_the_same_images(spec, public, vault, run):
    method, other = _method(spec, public_steps=2, steps=2), _method(spec)
    method.prepare(_with_classes(public, 3), run)
    method.fit(vault(plan_of(method, REQUEST), 5), run)
    other.load_state_dict(method.state_dict())
    run.generator.manual_seed(3)
    images = method.sample(REQUEST.conditions, run)
    run.generator.manual_seed(3)
    assert torch.equal(images, other.sample(REQUEST.conditions, run))


def test_unlabelled_data_is_supported(public, run):
    method = _method(DatasetSpec("plain", 1, 16, 400, 0, None, True), public_steps=2)
    method.prepare(_with_classes(public, 3), run)
    assert method.sample(Conditions(5), run).shape == (5, 1, 16, 16)


def test_missing_public_images_raise_an_error(spec, run):
    with pytest.raises(ConfigError, match="--public"):
        _method(spec).prepare(None, run)

import math

import pytest
import torch
from bar_orientation import share_horizontal
from latent_settings import SHORT, TINY
from planned import plan_of
from tiny_pipelines import save_stable_diffusion

from dpbench.benchmark.configure import configure
from dpbench.core.config import build
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, Budget, Conditions, DatasetSpec, Request
from dpbench.methods.cores.latent.attention_adapters import add_attention_adapters
from dpbench.methods.cores.latent.attention_saliency import _clipped_squares, attention_matrices
from dpbench.methods.dp_lora import SALIENCY, DPLoRA
from dpbench.models.lora import LowRank
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine

REQUEST = Request(Conditions.balanced(64, 2))


def _method(spec: DatasetSpec, settings=SHORT, **changes: object) -> DPLoRA:
    return DPLoRA(build(DPLoRA.Config, settings | {"rank": 2, "alpha": 2.0} | changes), spec)


def _changed(method, public, vault, run) -> set[str]:
    private = vault(plan_of(method, REQUEST), math.inf)
    method.prepare(public, run)
    before = {name: t.clone() for name, t in method.model.unet.state_dict().items()}
    method.fit(private, run)
    private.ledger.check_complete()
    return {name for name, t in method.model.unet.state_dict().items() if not torch.equal(t, before[name])}


def test_published_constants():
    (paper,) = configure(["dp-lora"], "mnist", "paper", {})
    c = paper.config
    assert (c.rank, c.alpha, c.views, c.clip, c.ema) == (8, 8, 8, 1e-3, 0)
    assert c.lr == pytest.approx(1e-6 * c.batch, rel=0.01)


def test_adapters_biases_and_class_embedder_are_trained_and_nothing_else(spec, public, vault, run):
    """The base is not simply frozen: the class embedder trains in full, and so do the biases of adapted layers."""
    changed = _changed(_method(spec), public, vault, run)
    ends = (".to_q.weight", ".to_k.weight", ".to_v.weight", ".to_out.0.weight", ".to_out.0.bias", "classes.weight")
    assert all(name.endswith(ends) for name in changed)
    assert all(any(name.endswith(end) for name in changed) for end in ends)


def test_change_of_an_adapted_weight_has_the_rank_of_the_adapter(spec, public, vault, run):
    method = _method(spec, rank=1)
    method.prepare(public, run)
    before = {name: m.weight.detach().clone() for name, m in attention_matrices(method.model.unet).items()}
    method.fit(vault(plan_of(method, REQUEST), math.inf), run)
    ranks = [
        int(torch.linalg.matrix_rank(m.weight - before[name], atol=1e-5))
        for name, m in attention_matrices(method.model.unet).items()
    ]
    assert max(ranks) == 1


def test_adapters_start_as_published():
    model = torch.nn.Sequential(torch.nn.Linear(400, 8))
    add_attention_adapters(model, ["0"], 4, 4.0, torch.Generator().manual_seed(0))
    assert isinstance(model[0], LowRank)
    assert model[0].down.weight.std().item() == pytest.approx(1 / 4, rel=0.1)
    assert not model[0].up.weight.any()


def test_samples_match_their_class_without_noise(spec, public, vault, run):
    method = _method(spec, TINY, rank=8, alpha=8.0, lr=4e-2)
    _changed(method, public, vault, run)
    images = method.sample(REQUEST.conditions, run)
    assert share_horizontal(images[0::2]) > share_horizontal(images[1::2]) + 0.25


def test_saliency_is_planned_with_the_training():
    mnist = DatasetSpec("mnist", 1, 32, 55_000, 10_000, tuple("0123456789"), True)
    method = DPLoRA(build(DPLoRA.Config, {"select": "saliency", "saliency_noise": 5.0}), mnist)
    query, training = plan_of(method, REQUEST).mechanisms
    assert (query.name, query.sampling_rate, query.releases) == (SALIENCY, 1.0, 1)
    assert query.clip == pytest.approx(method.config.saliency_clip**2)  # squared norms add up to at most C²
    assert training.noise_multiplier is None
    with pytest.raises(PrivacyError, match="fixed noise alone"):  # at 5, the query alone costs 0.81
        calibrate(plan_of(method, REQUEST), Budget(0.8, 1 / (55_000 * math.log(55_000))))


@pytest.mark.parametrize("clip", [1e-3, 1e6])
def test_contributions_are_squared_norms_of_clipped_gradients(spec, clip):
    method = _method(spec)
    model = method.model.unet
    matrices = attention_matrices(model)
    model.requires_grad_(False)
    for matrix in matrices.values():
        matrix.weight.requires_grad_(True)
    latents, labels = torch.randn(3, 2, 8, 8), torch.tensor([0, 1, 0])

    def loss(model, batch, generator):
        return model(batch.derived, 500, batch.labels).square().flatten(1).mean(1)

    engine = BookKeepingEngine(model, loss)
    found = _clipped_squares(engine, Batch(condition=labels, derived=latents), torch.Generator(), clip)
    engine.close()
    assert found.shape == (3, len(matrices))
    assert (found >= 0).all()
    assert (found.sum(1) <= clip**2 * 1.001).all()
    for k in range(3):
        value = loss(model, Batch(condition=labels[k : k + 1], derived=latents[k : k + 1]), torch.Generator()).sum()
        gradients = torch.autograd.grad(value, [m.weight for m in matrices.values()])
        norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        expected = torch.stack([(g * min(1, clip / norm)).square().sum() for g in gradients])
        torch.testing.assert_close(found[k], expected, rtol=1e-3, atol=1e-9 * clip**2)


def test_only_the_most_salient_matrices_get_adapters(spec, public, vault, run):
    method = _method(spec, select="saliency", share=0.25)
    changed = _changed(method, public, vault, run)
    count = len(attention_matrices(method.model.unet))
    adapted = {name for name in changed if name.endswith(".weight") and name != "classes.weight"}
    assert 0 < len(adapted) <= math.ceil(0.25 * count)
    idle = (".attn2.to_q.weight", ".attn2.to_k.weight")  # attention to a single token ignores them
    assert not any(name.endswith(idle) for name in adapted)


def test_a_checkpoint_is_finetuned(spec, vault, run, tmp_path):
    method = _method(spec, checkpoint=str(save_stable_diffusion(tmp_path)), select="saliency")
    assert _changed(method, None, vault, run)
    assert method.sample(REQUEST.conditions, run).shape == (64, 1, 16, 16)

import dataclasses

import pytest
import torch

from dpbench.core.text_encoder import TextEncoding
from dpbench.models import transformer
from dpbench.models.text_prefix import TextSizes
from dpbench.models.token_order import scale_by_scale
from dpbench.models.transformer import KeyValues, Sampling, TokenTransformer, TransformerConfig, draw

SIZES = TransformerConfig(vocabulary=11, length=6, conditions=3, dim=16, depth=2, heads=2)


def _model(**sizes) -> TokenTransformer:
    torch.manual_seed(0)
    model = TokenTransformer(dataclasses.replace(SIZES, **sizes))
    for parameter in model.parameters():  # large weights, so that every token matters
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def _by_scale() -> TokenTransformer:
    torch.manual_seed(0)
    model = TokenTransformer(dataclasses.replace(SIZES, length=21), order=scale_by_scale((1, 2, 4)))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_attention_is_causal_after_the_condition():
    model, tokens = _model(), torch.randint(11, (1, 6))
    changed = tokens.clone()
    changed[0, 3] = (changed[0, 3] + 1) % 11
    before, after = model(tokens, torch.tensor([1])), model(changed, torch.tensor([1]))
    assert torch.allclose(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])
    assert not torch.allclose(before[:, 0], model(tokens, torch.tensor([2]))[:, 0])


@pytest.mark.parametrize("length", [1, 2, 6, 33])
def test_cached_logits_equal_the_full_forward(length):
    model, condition = _model(length=length), torch.tensor([0, 1, 2, 0, 1])
    tokens = torch.randint(11, (5, length))
    full = model(tokens, condition)
    caches = [KeyValues(length) for _ in model.blocks]
    x = model.condition(condition)[:, None]
    for t in range(length):
        logits = model.next_logits(x, caches).squeeze(1)
        assert (logits - full[:, t]).norm() < 1e-5 * full[:, t].norm()
        x = model.token(tokens[:, t : t + 1])


def test_tokens_of_a_block_depend_on_earlier_blocks_only():
    model, tokens = _by_scale(), torch.randint(11, (1, 21))
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 11  # a token of the third grid
    before, after = model(tokens, torch.tensor([1])), model(changed, torch.tensor([1]))
    assert torch.equal(before, after)
    changed[0, 2] = (changed[0, 2] + 1) % 11  # a token of the second grid
    after = model(changed, torch.tensor([1]))
    assert torch.allclose(before[:, :5], after[:, :5])
    assert ((before - after)[0, 5:].abs().amax(-1) > 1e-4).all()


def test_sampling_by_scale_equals_recomputation():
    model, condition = _by_scale(), torch.arange(2).repeat(20)
    sampled = model.sample(condition, torch.Generator().manual_seed(5), Sampling(0.7, 0.9, guidance=1.5))
    uniform = torch.rand(40, 21, generator=torch.Generator().manual_seed(5))
    tokens = torch.zeros(40, 21, dtype=torch.long)
    for block in (range(1), range(1, 5), range(5, 21)):
        given, none = model(tokens, condition), model(tokens, torch.full((40,), 2))
        probabilities = ((none + 1.5 * (given - none)) / 0.7).softmax(-1)
        for t in block:
            tokens[:, t] = draw(probabilities[:, t], 0.9, uniform[:, t])
    assert (sampled == tokens).float().mean() > 0.999  # rounding may tip a draw


def test_cached_sampling_equals_recomputation():
    model, condition = _model(), torch.arange(3).repeat(20)
    sampled = model.sample(condition, torch.Generator().manual_seed(5))
    uniform = torch.rand(60, 6, generator=torch.Generator().manual_seed(5))
    tokens = torch.zeros(60, 6, dtype=torch.long)
    for t in range(6):
        tokens[:, t] = draw(model(tokens, condition)[:, t].softmax(-1), 1.0, uniform[:, t])
    assert torch.equal(sampled, tokens)


def test_samples_do_not_depend_on_row_splits(monkeypatch):
    model, condition = _model(), torch.arange(3).repeat(20)
    together = model.sample(condition, torch.Generator().manual_seed(5))
    monkeypatch.setattr(transformer, "ROWS", 7)
    assert torch.equal(model.sample(condition, torch.Generator().manual_seed(5)), together)
    assert len({tuple(row) for row in together.tolist()}) > 50


def test_checkpointing_saves_memory_and_keeps_gradients():
    kept, recomputed = _model().train(), _model(checkpoint=True).train()
    tokens, condition = torch.randint(11, (4, 6)), torch.tensor([0, 1, 2, 0])
    saved = {}
    for model in (kept, recomputed):
        saved[model] = 0

        def pack(tensor, model=model):
            saved[model] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model.loss(tokens, condition).sum()
        loss.backward()
    assert saved[recomputed] < saved[kept] / 2
    for a, b in zip(kept.parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_loss_is_negative_log_likelihood_per_token():
    model, tokens, condition = _model(), torch.randint(11, (4, 6)), torch.tensor([0, 1, 2, 0])
    likelihood = model(tokens, condition).log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)
    assert torch.allclose(model.loss(tokens, condition), -likelihood.mean(1), atol=1e-6)


def test_draw_follows_the_probabilities():
    probabilities = torch.tensor([[0.1, 0.6, 0.3]]).expand(20_000, 3)
    drawn = draw(probabilities, 1.0, torch.rand(20_000, generator=torch.Generator().manual_seed(0)))
    frequencies = torch.bincount(drawn, minlength=3) / 20_000
    assert torch.allclose(frequencies, probabilities[0], atol=0.02)


def test_top_p_keeps_the_smallest_set_that_reaches_p():
    probabilities = torch.tensor([[0.1, 0.6, 0.3]]).expand(2000, 3)
    uniform = torch.rand(2000, generator=torch.Generator().manual_seed(0))
    assert set(draw(probabilities, 0.5, uniform).tolist()) == {1}
    assert set(draw(probabilities, 0.7, uniform).tolist()) == {1, 2}


def test_guided_sampling_of_allowed_tokens_equals_recomputation():
    torch.manual_seed(0)
    allowed = torch.rand(6, 11) < 0.5
    allowed[:, 0] = True
    model = TokenTransformer(SIZES, allowed).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    condition = torch.arange(2).repeat(20)
    sampled = model.sample(condition, torch.Generator().manual_seed(5), Sampling(0.7, 0.9, guidance=1.5))
    uniform = torch.rand(40, 6, generator=torch.Generator().manual_seed(5))
    unrestricted = TokenTransformer(SIZES).eval()
    unrestricted.load_state_dict(model.state_dict())
    tokens = torch.zeros(40, 6, dtype=torch.long)
    for t in range(6):
        given, none = unrestricted(tokens, condition)[:, t], unrestricted(tokens, torch.full((40,), 2))[:, t]
        logits = (none + 1.5 * (given - none)).masked_fill(~allowed[t], -torch.inf)
        tokens[:, t] = draw((logits / 0.7).softmax(-1), 0.9, uniform[:, t])
    assert torch.equal(sampled, tokens)
    assert allowed[torch.arange(6).expand(40, 6), sampled].all()


def test_disallowed_tokens_have_zero_probability():
    allowed = torch.ones(6, 11, dtype=torch.bool)
    allowed[2:4, 5:] = False
    model = TokenTransformer(SIZES, allowed).eval()
    probabilities = model(torch.randint(5, (3, 6)), torch.tensor([0, 1, 2])).softmax(-1)
    assert torch.all(probabilities[:, 2:4, 5:] == 0)
    assert torch.all(probabilities[:, [0, 1, 4, 5]] > 0)


TEXT = TextSizes(length=4, dim=5, pooled_dim=3)


def _captioned(order=None, length=6) -> TokenTransformer:
    torch.manual_seed(0)
    sizes = dataclasses.replace(SIZES, length=length, conditions=1, text=TEXT)
    model = TokenTransformer(sizes, order=order)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def _texts(count: int) -> TextEncoding:
    """Texts of 0 to 4 tokens in turn."""
    mask = torch.arange(4) < (torch.arange(count) % 5)[:, None]
    return TextEncoding(torch.randn(count, 4, 5), mask, torch.randn(count, 3))


ORDERS = {"one by one": (None, 6), "by scale": (scale_by_scale((1, 2, 4)), 21)}


@pytest.mark.parametrize(("order", "length"), ORDERS.values(), ids=ORDERS)
def test_every_token_depends_on_every_word_and_on_no_later_token(order, length):
    model, tokens, text = _captioned(order, length), torch.randint(11, (1, length)), _texts(5)
    text = TextEncoding(*(t[4:] for t in text))
    none = torch.zeros(1, dtype=torch.long)
    logits = model(tokens, none, text)
    assert logits.shape == (1, length, 11)
    for word in range(4):
        other = text.tokens.clone()
        other[0, word] += 1
        assert ((model(tokens, none, text._replace(tokens=other)) - logits).abs().amax(-1) > 1e-5).all()
    assert ((model(tokens, none, text._replace(pooled=-text.pooled)) - logits).abs().amax(-1) > 1e-5).all()
    changed = tokens.clone()
    changed[0, -1] = (changed[0, -1] + 1) % 11
    assert torch.allclose(model(changed, none, text), logits, atol=1e-5)


def test_what_stands_at_padding_changes_nothing():
    model, tokens, text = _captioned(), torch.randint(11, (5, 6)), _texts(5)
    none = torch.zeros(5, dtype=torch.long)
    noise = torch.where(text.mask[..., None], text.tokens, torch.nan)
    pooled = torch.where(text.mask.any(1, keepdim=True), text.pooled, torch.nan)
    assert torch.equal(model(tokens, none, text), model(tokens, none, TextEncoding(noise, text.mask, pooled)))


@pytest.mark.parametrize(("order", "length"), ORDERS.values(), ids=ORDERS)
def test_cached_sampling_under_captions_equals_recomputation(order, length):
    model, text = _captioned(order, length), _texts(300)
    condition = torch.zeros(300, dtype=torch.long)
    sampled = model.sample(condition, torch.Generator().manual_seed(5), Sampling(0.7, guidance=1.5), text)
    uniform = torch.rand(300, length, generator=torch.Generator().manual_seed(5))
    tokens, first = torch.zeros(300, length, dtype=torch.long), 0
    nothing = TextEncoding(*(torch.zeros_like(t) for t in text))
    for size in model.order.blocks:
        given, none = model(tokens, condition, text), model(tokens, condition, nothing)
        probabilities = ((none + 1.5 * (given - none)) / 0.7).softmax(-1)
        for t in range(first, first + size):
            tokens[:, t] = draw(probabilities[:, t], 1.0, uniform[:, t])
        first += size
    assert (sampled == tokens).float().mean() > 0.999  # rounding may tip a draw


def test_a_model_without_captions_has_no_further_weights():
    assert not any("text" in name for name in _model().state_dict())
    assert any("text" in name for name in _captioned().state_dict())

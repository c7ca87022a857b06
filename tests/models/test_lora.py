import copy

import pytest
import torch
from torch import nn

from dpbench.core.errors import ConfigError
from dpbench.core.specs import Batch
from dpbench.models.lora import ATTENTION, LowRank, add_lora, merge_lora
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.opacus_engine import OpacusEngine


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.point = nn.Conv2d(6, 4, 1, bias=False)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.GELU(), nn.Linear(5, 3))

    def forward(self, x):
        return self.head(self.point(self.conv(x).relu()))


X = torch.randn(7, 2, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def adapter_names(model):
    return [name for name, module in model.named_modules() if isinstance(module, LowRank)]


def randomise_adapters(model):
    """Sets the adapters to random weights, as after training."""
    for p in model.parameters():
        if p.requires_grad:
            nn.init.normal_(p)


def test_adapters_do_not_change_the_initial_output(net):
    before = net(X)
    add_lora(net, 2, 4.0, "")
    assert adapter_names(net) == ["conv", "point", "head.1", "head.3"]
    assert torch.equal(net(X), before)


def test_only_adapters_are_trained(net):
    add_lora(net, 2, 4.0, r"head\.1|conv")
    trained = {name for name, p in net.named_parameters() if p.requires_grad}
    assert trained == {"conv.down.weight", "conv.up.weight", "head.1.down.weight", "head.1.up.weight"}
    frozen = {name: p.clone() for name, p in net.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1)
    for _ in range(2):  # `down` has a gradient only after `up` is nonzero
        net(X).square().sum().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters() if p.requires_grad)
    assert all(torch.equal(p, frozen[name]) for name, p in net.named_parameters() if name in frozen)


def test_adapter_adds_scaled_low_rank_product():
    layer = nn.Sequential(nn.Linear(3, 4))
    add_lora(layer, 2, 6.0, "0")
    randomise_adapters(layer)
    x, adapter = torch.randn(5, 3), layer[0]
    expected = x @ adapter.base.weight.T + adapter.base.bias + 3 * x @ (adapter.up.weight @ adapter.down.weight).T
    torch.testing.assert_close(layer(x), expected)


def test_merged_model_equals_unmerged_model(net):
    shapes = {name: p.shape for name, p in net.named_parameters()}
    add_lora(net, 2, 4.0, lambda name: True)
    randomise_adapters(net)
    adapted = net(X)
    merge_lora(net)
    torch.testing.assert_close(net(X), adapted, rtol=1e-4, atol=1e-4)
    assert not adapter_names(net)
    assert {name: p.shape for name, p in net.named_parameters()} == shapes


def test_shared_layer_is_adapted_and_merged_once(net):
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    add_lora(model, 1, 1.0, "0")
    assert model[2] is shared  # only the chosen name is adapted
    merge_lora(model)
    add_lora(model, 1, 1.0, "0|2")
    assert model[0] is model[2]
    randomise_adapters(model)
    x = torch.randn(4, 3)
    adapted = model(x)
    merge_lora(model)
    torch.testing.assert_close(model(x), adapted)


def test_state_dict_loads_into_another_model(net):
    other = copy.deepcopy(net)
    for model in (net, other):
        add_lora(model, 2, 4.0, "conv|head")
    randomise_adapters(net)
    assert not torch.equal(other(X), net(X))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(X), net(X))


@pytest.mark.parametrize("modules", ["to_q", lambda name: False])
def test_pattern_matching_no_layer_error_lists_the_layers(net, modules):
    with pytest.raises(ConfigError, match=r"no layer .* conv, point, head\.1, head\.3"):
        add_lora(net, 2, 4.0, modules)
    assert all(p.requires_grad for p in net.parameters())


def test_model_without_adaptable_layers_raises_an_error():
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.GELU())
    with pytest.raises(ConfigError, match="there are none"):
        add_lora(model, 2, 4.0, "")


def test_invalid_arguments_raise_errors(net):
    with pytest.raises(ConfigError, match="rank"):
        add_lora(net, 0, 4.0, "conv")
    with pytest.raises(ConfigError, match="not a regular expression"):
        add_lora(net, 2, 4.0, "(")
    add_lora(net, 2, 4.0, "conv")
    with pytest.raises(ConfigError, match="already"):
        add_lora(net, 2, 4.0, "point")


def test_adapters_have_the_dtype_of_the_layer(net):
    add_lora(net.bfloat16(), 2, 4.0, "conv|head")
    assert {p.dtype for p in net.parameters()} == {torch.bfloat16}


def test_gradient_engines_support_adapters(net):
    add_lora(net, 2, 4.0, "head")
    randomise_adapters(net)

    def loss(model, batch, generator):
        return model(batch.derived).square().mean(1)

    gradients = torch.autograd.grad(
        loss(net, Batch(derived=X), None).sum(), [p for p in net.parameters() if p.requires_grad]
    )
    for engine_class in (BookKeepingEngine, OpacusEngine):
        engine = engine_class(net, loss)
        sums = engine.clipped_sum(Batch(derived=X), torch.ones(7, dtype=torch.bool), 1, 1e9, torch.Generator())
        engine.close()
        for found, expected in zip(sums, gradients, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_attention_pattern_matches_diffusers_layers():
    from diffusers.models.attention_processor import Attention

    torch.manual_seed(0)
    attention = nn.ModuleDict({"attention": Attention(16, heads=2, dim_head=8)})
    x = torch.randn(2, 5, 16)
    before = attention["attention"](x)
    add_lora(attention, 2, 2.0, ATTENTION)
    assert adapter_names(attention) == [f"attention.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0")]
    assert torch.equal(attention["attention"](x), before)
    randomise_adapters(attention)
    adapted = attention["attention"](x)
    assert not torch.allclose(adapted, before, atol=1e-3)
    merge_lora(attention)
    torch.testing.assert_close(attention["attention"](x), adapted, rtol=1e-4, atol=1e-4)

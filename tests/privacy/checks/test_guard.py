"""What a closure must not do with records besides returning a value, and what it may."""

from __future__ import annotations

import copy
import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.checks import record_flow
from dpbench.privacy.checks.guard import guarded
from dpbench.privacy.checks.probes import Probes

SPEC = DatasetSpec("test", 1, 4, 100, 10, ("a", "b", "c"), False)
PROBE = Probes.of(SPEC).take(12)[0]
FILE = Path(__file__).name


def flat(batch: Batch) -> Tensor:
    return batch.images.float().flatten(1) / 255


def watch(closure, **options) -> Tensor:
    return guarded(closure, PROBE, "the closure", **options)


def doing(act):
    """A closure that does something with the records, and returns something harmless."""

    def closure(batch: Batch) -> Tensor:
        act(flat(batch), batch.labels)
        return flat(batch)

    return closure


# Reads

READS = {
    "item": lambda x, y: x.mean().item(),
    "tolist": lambda x, y: y.tolist(),
    "numpy": lambda x, y: x.numpy(),
    "asarray": lambda x, y: np.asarray(x),
    "bool": lambda x, y: bool(x.isfinite().all()),
    "if": lambda x, y: 1 if x.sum() > 3 else 2,
    "int": lambda x, y: int(y[0]),
    "float": lambda x, y: float(x[0, 0]),
    "index": lambda x, y: "abc"[y[0]],
    "max of Python": lambda x, y: max(x[:, 0]),
    "print": lambda x, y: print(x[0], file=io.StringIO()),
    "f-string": lambda x, y: f"{x.mean():.3f}",
    "in": lambda x, y: 2 in y,
    "equal": lambda x, y: torch.equal(x, 2 * x),
    "allclose": lambda x, y: torch.allclose(x, 2 * x),
    "nonzero": lambda x, y: x.nonzero(),
    "where": lambda x, y: torch.where(x > 0.5),
    "mask": lambda x, y: x[x[:, 0] > 0.5],
    "unique": lambda x, y: y.unique(),
    "bincount": lambda x, y: y.bincount(),
    "one_hot of unknown size": lambda x, y: F.one_hot(y),
    "one_hot of -1 classes": lambda x, y: F.one_hot(y, -1),
    "save": lambda x, y: torch.save(x, io.BytesIO()),
    "deepcopy": lambda x, y: copy.deepcopy(x),
    "json": lambda x, y: json.dumps(y.tolist()),
    "through a table": lambda x, y: torch.arange(3)[y].sum().item(),
    "through a list": lambda x, y: torch.tensor([x[0, 0], x[1, 1]]).sum().item(),
    "through a write": lambda x, y: torch.zeros(12, 16).copy_(x).sum().item(),
    "through a sparse tensor": lambda x, y: x.to_sparse_coo().values().sum().item(),
    "through a gradient": lambda x, y: torch.autograd.grad((x.requires_grad_() ** 2).sum(), x)[0].sum().item(),
}


@pytest.mark.parametrize("act", READS.values(), ids=READS)
def test_reads_are_refused_and_the_line_is_named(act):
    line = act.__code__.co_firstlineno
    with pytest.raises(
        PrivacyError, match=f"the closure reads a value that depends on records.*{FILE}:{line}; (keep|give)"
    ):
        watch(doing(act))


def test_a_read_that_the_closure_swallows_is_refused_all_the_same():
    def closure(batch: Batch) -> Tensor:
        try:
            print(flat(batch).sum().item(), file=io.StringIO())
        except Exception:
            return flat(batch)
        return flat(batch)

    with pytest.raises(PrivacyError, match="reads a value"):
        watch(closure)


def test_a_batch_skipped_when_its_loss_is_not_finite_is_refused():
    def closure(batch: Batch) -> Tensor:
        losses = flat(batch).sum(1)
        return losses if torch.isfinite(losses).all() else 0 * losses

    with pytest.raises(PrivacyError, match=r"reads a value.*bool.*torch.where"):
        watch(closure)


# Writes


class Codebook(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codes", torch.rand(3, 16))
        self.frozen = nn.Parameter(torch.rand(16), requires_grad=False)
        self.norm = nn.BatchNorm1d(16)
        self.table = torch.rand(12, 16)
        self.array = np.zeros((12, 16), dtype=np.float32)


def _ema(module: Codebook, x: Tensor) -> None:
    module.codes.lerp_(x[:3], 0.1)


def _ema_of_data(module: Codebook, x: Tensor) -> None:
    module.codes.data.mul_(0.9)
    module.codes.data.add_(x[:3])


WRITES = {
    "buffer": (_ema, "changes 'codes'"),
    "data of a buffer": (_ema_of_data, "changes 'codes'"),
    "a row of a buffer": (lambda m, x: m.codes.__setitem__(0, x[0]), "changes 'codes'"),
    "out": (lambda m, x: torch.add(x[:3], 1, out=m.codes), "changes 'codes'"),
    "count": (lambda m, x: m.codes.add_(len(x)), "changes 'codes'"),
    "frozen parameter": (lambda m, x: m.frozen.data.copy_(x.mean(0)), "changes 'frozen'"),
    "batch norm": (lambda m, x: m.norm(x), "changes 'norm"),
    "table outside": (lambda m, x: m.table.copy_(x), "writes into a tensor that is older"),
    "array outside": (lambda m, x: torch.from_numpy(m.array).copy_(x), "writes into a tensor that is older"),
    "gradient": (lambda m, x: (m.norm.weight * x).sum().backward(), "keeps a tensor"),
}


@pytest.mark.parametrize(("act", "match"), WRITES.values(), ids=WRITES)
def test_writes_into_older_tensors_are_refused(act, match):
    module = Codebook()
    before = module.codes.clone()
    with pytest.raises(PrivacyError, match=match):
        watch(doing(lambda x, y: act(module, x)), model=module)
    assert torch.equal(before, module.codes)


# What is kept


def keepers():
    kept: list[object] = []

    class Holder(nn.Module):
        pass

    holder = Holder()
    holder.running = torch.zeros(16)

    def rebind(x: Tensor, y: Tensor) -> None:
        holder.running = 0.9 * holder.running + 0.1 * x.mean(0)

    def data(x: Tensor, y: Tensor) -> None:
        holder.running.data = x.mean(0)

    return {
        "list": lambda x, y: kept.append(x),
        "labels": lambda x, y: kept.append(y),
        "on the CPU": lambda x, y: kept.append(x.detach().cpu()),
        "a view": lambda x, y: kept.append(x[0]),
        "rebound": rebind,
        "data": data,
        "attribute": lambda x, y: setattr(holder, "preview", x[:4]),
        "closure": lambda x, y: kept.append(lambda: x),
        "graph": lambda x, y: kept.append((x * nn.Parameter(torch.ones(16))).sum()),
        "cycle": lambda x, y: kept.append({"x": x, "me": kept}),
        "sparse": lambda x, y: kept.append(x.to_sparse()),
    }


@pytest.mark.parametrize("name", keepers())
def test_tensors_that_are_kept_are_refused(name):
    with pytest.raises(PrivacyError, match=r"the closure keeps a tensor.*(made at|the batch itself)"):
        watch(doing(keepers()[name]))


def test_garbage_in_a_cycle_is_not_kept():
    def act(x: Tensor, y: Tensor) -> None:
        cycle = {"x": x}
        cycle["me"] = cycle

    watch(doing(act))


def held_by_a_thread(seconds: float) -> Callable[[Tensor, Tensor], None]:
    """Records in the hands of a thread that releases them after a moment."""

    def hold(held: list[Tensor]) -> None:
        time.sleep(seconds)
        held.clear()

    return lambda x, y: threading.Thread(target=hold, args=([x],), daemon=True).start()


def test_a_worker_thread_of_autograd_may_release_tensors_a_moment_later(monkeypatch):
    monkeypatch.setattr(record_flow, "WORKER_SECONDS", 3600.0)  # it does not wait longer than it has to
    monkeypatch.setattr(record_flow, "autograd_has_workers", lambda: True)
    watch(doing(held_by_a_thread(0.1)))
    monkeypatch.setattr(record_flow, "autograd_has_workers", lambda: False)
    with pytest.raises(PrivacyError, match="keeps a tensor"):
        watch(doing(held_by_a_thread(30.0)))


def test_tensors_that_are_kept_are_refused_after_the_wait_for_worker_threads(monkeypatch):
    monkeypatch.setattr(record_flow, "WORKER_SECONDS", 0.1)
    monkeypatch.setattr(record_flow, "autograd_has_workers", lambda: True)
    for act in keepers().values():
        with pytest.raises(PrivacyError, match="the closure keeps a tensor"):
            watch(doing(act))


# What is accepted

MODEL = nn.Sequential(nn.Linear(16, 8), nn.Dropout(0.2), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3))
GENERATOR = torch.Generator()


def _noisy(batch: Batch) -> Tensor:
    t = torch.rand(len(batch), generator=GENERATOR)
    hidden = torch.where(t < 0.1, 3, batch.labels)
    return F.embedding(hidden, torch.ones(4, 2)) * t[:, None]


def _in_place(batch: Batch) -> Tensor:
    x = torch.zeros(len(batch), 16)
    x[:, 0] = batch.labels.float()
    x += flat(batch)
    x[x < 0.3] = 0
    return x.clamp_(max=0.9)


def _penalty(batch: Batch) -> Tensor:
    x = flat(batch).requires_grad_()
    return torch.autograd.grad(MODEL(x).sum(), x, create_graph=True)[0].norm(dim=1)


def _in_bf16(batch: Batch) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return F.cross_entropy(MODEL(flat(batch)), batch.labels, reduction="none").float()


def _sparse(batch: Batch) -> Tensor:
    place = torch.stack([torch.arange(len(batch)), batch.labels])
    return torch.sparse_coo_tensor(place, flat(batch), (len(batch), 3, 16), check_invariants=False)


def _by_a_coin(batch: Batch) -> Tensor:
    return flat(batch) if torch.rand(1, generator=GENERATOR) < 0.5 else flat(batch).flip(1)


ACCEPTED = {
    "flat": flat,
    "itself": lambda b: b.images,
    "a view": lambda b: b.images[:, 0],
    "one_hot": lambda b: F.one_hot(b.labels, 3),
    "sparse": _sparse,
    "cross entropy in bf16": _in_bf16,
    "draws": _noisy,
    "a coin": _by_a_coin,
    "in place": _in_place,
    "gradient penalty": _penalty,
    "checkpointing": lambda b: checkpoint(MODEL, flat(b), use_reentrant=False),
    "attention": lambda b: F.scaled_dot_product_attention(*[flat(b).reshape(-1, 2, 4, 2)] * 3, is_causal=True),
    "shapes": lambda b: torch.full((b.images.numel() // 16,), float(torch.zeros_like(flat(b)).sum())),
    "nearest": lambda b: torch.cdist(flat(b), torch.rand(5, 16)).argmin(1),
    "Haar and sort": lambda b: flat(b).sort(1).values.diff(dim=1),
    "set by a mask": lambda b: flat(b).masked_fill(flat(b) > 0.5, 0),
}


@pytest.mark.parametrize("closure", ACCEPTED.values(), ids=ACCEPTED)
@pytest.mark.parametrize("gradients", [True, False])
def test_computations_that_only_return_are_accepted(closure, gradients):
    if closure is _penalty and not gradients:
        return
    GENERATOR.manual_seed(0)
    torch.manual_seed(0)
    with torch.set_grad_enabled(gradients):
        expected = closure(PROBE)
    GENERATOR.manual_seed(0)
    torch.manual_seed(0)
    with torch.set_grad_enabled(gradients):
        found = watch(closure)
    torch.testing.assert_close(found.to_dense(), expected.detach().to_dense())


def test_public_tables_that_a_closure_makes_once_are_accepted():
    cache: dict[str, Tensor] = {}

    def closure(batch: Batch) -> Tensor:
        if "table" not in cache:
            cache["table"] = torch.linspace(0, 1, 16)
        return flat(batch) * cache["table"]

    watch(closure)


def test_an_exception_of_the_closure_is_shown_as_it_is():
    def closure(batch: Batch) -> Tensor:
        raise KeyError("typo")

    with pytest.raises(KeyError, match="typo"):
        watch(closure)


def test_after_the_guard_tensors_are_read_as_ever():
    watch(flat)
    assert flat(PROBE).sum().item() > 0

from __future__ import annotations

import importlib
import multiprocessing
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dpbench.core import closure, locks
from dpbench.core.cache import PublicCache
from dpbench.core.errors import DpbenchError


def never(generator):
    raise AssertionError("made a second time")


def test_entry_is_computed_once(tmp_path):
    tensors = {"a": torch.arange(3), "b": torch.randn(2, 2)}
    made = PublicCache(tmp_path / "new" / "folder").get("x", {"lr": 0.1}, lambda g: tensors)
    found = PublicCache(tmp_path / "new" / "folder").get("x", {"lr": 0.1}, never)
    for result in (made, found):
        assert result.keys() == tensors.keys()
        assert all(torch.equal(result[k], tensors[k]) for k in tensors)


def test_entries_differ_by_name_and_key(tmp_path):
    cache = PublicCache(tmp_path)
    for i, (name, key) in enumerate([("x", 1), ("x", 2), ("y", 1), ("x", {"a": [1, "b"]})]):
        assert cache.get(name, key, lambda g, i=i: {"i": torch.tensor(i)})["i"] == i
    assert cache.get("x", 2, never)["i"] == 1


def test_entries_differ_by_precision(tmp_path):
    for number, precision in enumerate(("fp32", "bf16")):
        cache = PublicCache(tmp_path, precision)
        assert cache.get("x", 1, lambda g, n=number: {"n": torch.tensor(n)})["n"] == number
    assert PublicCache(tmp_path).get("x", 1, never)["n"] == 0


def test_entry_depends_only_on_the_key(tmp_path):
    def make(generator):
        return {"a": torch.randn(3, generator=generator), "b": torch.randn(3)}

    results = []
    for i in range(2):
        torch.manual_seed(i)
        before = torch.get_rng_state()
        results.append(PublicCache(tmp_path / str(i)).get("x", "key", make))
        assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(results[0][k], results[1][k]) for k in "ab")
    assert not torch.equal(PublicCache(tmp_path).get("x", "other", make)["a"], results[0]["a"])


def slow(generator):
    time.sleep(0.1)
    return {"a": torch.ones(1)}


def test_a_loaded_entry_saves_the_seconds_that_it_took_once(tmp_path):
    first, second = PublicCache(tmp_path), PublicCache(tmp_path)
    for _ in range(2):
        first.get("x", 1, slow)
        assert first.seconds_saved == 0
    second.get("x", 1, never)
    saved = second.seconds_saved
    assert 0.05 < saved < 5
    second.get("x", 1, never)
    assert second.seconds_saved == saved


def test_an_entry_that_is_made_with_a_loaded_one_took_the_seconds_of_both(tmp_path):
    PublicCache(tmp_path).get("inner", 1, slow)
    cache = PublicCache(tmp_path)
    cache.get("outer", 1, lambda generator: cache.get("inner", 1, never))
    loaded = PublicCache(tmp_path)
    loaded.get("outer", 1, never)
    assert 0.05 < loaded.seconds_saved < 5


def test_an_entry_of_an_earlier_version_without_seconds_saves_none(tmp_path):
    PublicCache(tmp_path).get("x", 1, slow)
    [path] = tmp_path.glob("x-*.safetensors")
    save_file(load_file(path), path)
    cache = PublicCache(tmp_path)
    assert cache.get("x", 1, never)["a"] == 1
    assert cache.seconds_saved == 0


PLUGIN = """
import torch
{imports}

class Plugin:
    def prepare(self, cache, made):
        return cache.get("x", 1, lambda generator: self.learn(made))

    def learn(self, made):
        made.append(1)
        return {{"a": torch.ones(1)}}
"""


def test_plugin_entry_is_recomputed_only_after_code_changes(tmp_path, monkeypatch):
    def prepare():
        monkeypatch.delitem(sys.modules, "plugin", raising=False)
        importlib.invalidate_caches()
        made = []
        importlib.import_module("plugin").Plugin().prepare(PublicCache(tmp_path / "cache"), made)
        return len(made)

    monkeypatch.setattr(closure, "STARTED", float("inf"))  # as if the files were older than this process
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "beside.py").write_text("x = 1")
    (tmp_path / "plugin.py").write_text(PLUGIN.format(imports="import beside"))
    assert prepare() == 1
    assert prepare() == 0
    (tmp_path / "unrelated.py").write_text("x = 1")
    (tmp_path / "plugin.py").write_text(PLUGIN.format(imports="import beside  # the one there"))
    assert prepare() == 0
    (tmp_path / "beside.py").write_text("x = 2")
    assert prepare() == 1
    (tmp_path / "plugin.py").write_text(PLUGIN.format(imports="import beside, math"))
    assert prepare() == 1
    assert prepare() == 0


def test_entry_depends_on_the_subclass_of_an_inherited_maker(tmp_path):
    class Base:
        def prepare(self, cache):
            return cache.get("x", 1, lambda generator: self.learn())

    other = {"__name__": "a notebook", "Base": Base}
    exec("class Other(Base): ...", other)
    Base.learn, other["Other"].learn = (lambda self, i=i: {"i": torch.tensor(i)} for i in (1, 2))
    assert [plugin().prepare(PublicCache(tmp_path))["i"] for plugin in (Base, other["Other"])] == [1, 2]


@pytest.mark.parametrize(
    "content", [b"", b"rubbish", b"\x10\0\0\0\0\0\0\0{}", None], ids=["empty", "rubbish", "cut", "end"]
)
def test_damaged_entry_is_recomputed(tmp_path, content):
    cache = PublicCache(tmp_path)
    cache.get("x", 1, lambda g: {"a": torch.zeros(1000)})
    [path] = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    assert cache.get("x", 1, lambda g: {"a": torch.ones(2)})["a"].tolist() == [1, 1]
    assert cache.get("x", 1, never)["a"].tolist() == [1, 1]


def test_failed_computation_stores_nothing(tmp_path):
    def fails(generator):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PublicCache(tmp_path).get("x", 1, fails)
    assert PublicCache(tmp_path).get("x", 1, lambda g: {"a": torch.ones(1)})["a"] == 1


def test_weights_with_shared_memory_or_gradients_are_stored(tmp_path):
    model = nn.Linear(3, 3)
    tied = {"a": model.weight, "b": model.weight, "row": model.weight[0], "turned": model.weight.T}
    PublicCache(tmp_path).get("x", 1, lambda g: tied)
    found = PublicCache(tmp_path).get("x", 1, never)
    assert all(torch.equal(found[k], tied[k]) for k in tied)


def test_returned_weights_do_not_change_with_further_training(tmp_path):
    model = nn.Linear(3, 3)
    made = PublicCache(tmp_path).get("x", 1, lambda g: model.state_dict())
    nn.init.zeros_(model.weight)
    assert made["weight"].any()
    assert not made["weight"].requires_grad


def test_unwritable_folder_gives_a_one_line_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DpbenchError, match=r"cannot write to .*cache"):
        PublicCache(tmp_path / "file" / "cache").get("x", 1, lambda g: {})


def test_finished_entry_needs_no_lock(tmp_path, monkeypatch):
    """In a folder of another user, no lock file can be written."""
    PublicCache(tmp_path).get("x", 1, lambda g: {"a": torch.ones(1)})
    monkeypatch.setattr(locks, "FileLock", lambda path: pytest.fail(f"locks {path}"))
    assert PublicCache(tmp_path).get("x", 1, never)["a"] == 1


def test_what_a_killed_process_wrote_is_removed(tmp_path):
    cache = PublicCache(tmp_path)
    cache.get("x", 1, lambda g: {"a": torch.ones(1)})
    [path] = tmp_path.glob("x-*.safetensors")
    path.rename(tmp_path / f".tmp-{path.stem}-abcdef.safetensors")
    (tmp_path / ".tmp-y-abcdef.safetensors").write_text("another process writes it")
    cache.get("x", 1, lambda g: {"a": torch.ones(1)})
    assert sorted(path.name for path in tmp_path.glob(".tmp-*")) == [".tmp-y-abcdef.safetensors"]


def _work(folder: Path, barrier, results) -> None:
    def make(generator):
        with (folder / "made").open("a") as file:
            file.write("x")
        time.sleep(0.3)
        return {"a": torch.full((2,), 7)}

    barrier.wait()
    results.put(PublicCache(folder).get("x", 1, make)["a"].tolist())


def test_concurrent_processes_compute_an_entry_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_work, args=(tmp_path, barrier, results)) for _ in range(3)]
    for process in processes:
        process.start()
    answers = [results.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(timeout=30)
    assert answers == [[7, 7]] * 3
    assert (tmp_path / "made").read_text() == "x"

"""The hold-out of a train split."""

from __future__ import annotations

import pytest
import torch

from dpbench.benchmark.configure import configure
from dpbench.core.data import DataOptions
from dpbench.core.errors import DataError, PrivacyError
from dpbench.core.seal import Seal
from dpbench.data.opening import open_dataset, open_public
from dpbench.data.sets import holdout
from dpbench.data.synthetic.shapes import Shapes


@pytest.fixture
def options(tmp_path, monkeypatch) -> DataOptions:
    monkeypatch.setattr(Shapes, "n_train", 60)
    monkeypatch.setattr(Shapes, "n_test", 5)
    return DataOptions(tmp_path)


def test_it_divides_the_train_split_and_never_opens_test(options, monkeypatch):
    whole = open_dataset("shapes", options).train()
    monkeypatch.setattr(Shapes, "open_test", lambda self: pytest.fail("opened test"))
    part = open_dataset("holdout:shapes", options)
    train, test = part.train(), part.test()
    assert (part.spec.name, part.spec.n_train, part.spec.n_test) == ("holdout:shapes", 54, 6)
    assert (len(train), len(test)) == (54, 6)
    held = [0, 12, 24, 35, 47, 59]
    rest = [i for i in range(60) if i not in held]
    assert torch.equal(test.batch(range(6)).images, whole.batch(held).images)
    assert torch.equal(train.batch(range(54)).labels, whole.batch(rest).labels)


def test_at_most_so_many_records_are_held_out(options, monkeypatch):
    monkeypatch.setattr(holdout, "MOST", 2)
    assert open_dataset("holdout:shapes", options).spec.n_test == 2


def test_private_runs_count_as_runs_on_the_whole_dataset(options):
    whole, part = open_dataset("shapes", options).train(), open_dataset("holdout:shapes", options).train()
    assert part.content == whole.content
    assert part.fingerprint != whole.fingerprint


@pytest.mark.parametrize("names", [("shapes", "holdout:shapes"), ("holdout:shapes", "shapes")])
def test_a_dataset_and_its_holdout_are_never_both_public_and_sensitive(names, options):
    public, sensitive = names
    with pytest.raises(DataError, match="overlaps with the sensitive dataset"):
        open_public(public, open_dataset(sensitive, options).spec, options)


@pytest.mark.parametrize("names", [("shapes", "holdout:shapes"), ("holdout:shapes", "shapes")])
def test_a_method_opens_neither_while_the_other_is_sensitive(names, options):
    opened, sensitive = (open_dataset(name, options) for name in names)
    with Seal(sensitive.origin).closed():
        for split in (opened.train, opened.test):
            with pytest.raises(PrivacyError):
                split()


def test_it_has_the_presets_of_the_whole_dataset():
    (whole,), (part,) = (configure(["wavelet"], name, "small", {}) for name in ("mnist", "holdout:mnist"))
    assert part.config == whole.config != configure(["wavelet"], "cifar10", "small", {})[0].config


@pytest.mark.parametrize("name", ["holdout", "holdout:holdout:shapes"])
def test_it_needs_another_dataset(name, options):
    with pytest.raises(DataError, match="needs the name of another dataset"):
        open_dataset(name, options)


def test_too_few_records_are_refused(options, monkeypatch):
    monkeypatch.setattr(Shapes, "n_train", 19)
    with pytest.raises(DataError, match="at least 20 train records, but there are 19"):
        _ = open_dataset("holdout:shapes", options).spec

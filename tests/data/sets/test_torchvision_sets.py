"""The classic benchmarks, from small files in their real formats."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import DIGITS, LABELS, N, idx, write_cifar, write_idx
from PIL import Image

from dpbench.benchmark.inputs import Inputs
from dpbench.core.errors import DataError
from dpbench.data.sets.torchvision_sets import CIFAR10, CIFAR100, MNIST, FashionMNIST
from dpbench.privacy.mechanisms.mechanism import DPSGD

IDX = pytest.mark.parametrize("plugin", [MNIST, FashionMNIST])
CIFAR = pytest.mark.parametrize("plugin", [CIFAR10, CIFAR100])


@pytest.fixture
def idx_files(options, monkeypatch):
    """idx_files(plugin): see `write_idx`."""
    return lambda plugin: write_idx(plugin, options.root, monkeypatch)


@IDX
def test_idx_files_are_read_and_padded(plugin, idx_files, options):
    idx_files(plugin)
    dataset = plugin("", options)
    for split, name in ((dataset.train(), "train"), (dataset.test(), "t10k")):
        batch = split.batch(range(N[name]))
        assert len(split) == N[name]
        assert batch.images.shape == (N[name], 1, 32, 32)
        assert torch.equal(batch.images[:, 0, 2:-2, 2:-2], torch.from_numpy(DIGITS[name]))
        assert batch.images.sum() == DIGITS[name].sum()
        assert batch.labels.tolist() == LABELS[name].tolist()


def test_other_resolutions_are_originals_or_resized(idx_files, options):
    idx_files(MNIST)
    originals = MNIST("", replace(options, resolution=28)).train().batch([3, 0]).images
    assert torch.equal(originals[:, 0], torch.from_numpy(DIGITS["train"][[3, 0]]))
    small = MNIST("", replace(options, resolution=16)).train().batch([3]).images
    expected = Image.fromarray(DIGITS["train"][3]).resize((16, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(small[0, 0].numpy(), np.array(expected))


def test_fingerprints_follow_content_split_and_resolution(idx_files, options):
    raw = idx_files(MNIST)
    first = MNIST("", options)
    prints = {first.train().fingerprint, first.test().fingerprint}
    prints.add(MNIST("", replace(options, resolution=28)).train().fingerprint)
    prints.add(MNIST("", replace(options, resolution=16)).train().fingerprint)
    assert MNIST("", options).train().fingerprint in prints
    (raw / "train-images-idx3-ubyte").write_bytes(idx(255 - DIGITS["train"]))
    prints.add(MNIST("", options).train().fingerprint)
    assert len(prints) == 5


@pytest.mark.parametrize(
    ("plugin", "shape", "counts", "classes"),
    [
        (MNIST, (1, 32, 32), (60_000, 10_000), 10),
        (FashionMNIST, (1, 32, 32), (60_000, 10_000), 10),
        (CIFAR10, (3, 32, 32), (50_000, 10_000), 10),
        (CIFAR100, (3, 32, 32), (50_000, 10_000), 100),
    ],
)
def test_the_declaration_needs_no_files(plugin, shape, counts, classes, options):
    spec = plugin("", options).spec
    assert (spec.shape, (spec.n_train, spec.n_test), spec.n_classes) == (shape, counts, classes)
    assert spec.public_benchmark
    assert len(set(spec.classes)) == classes


@pytest.mark.parametrize("plugin", [MNIST, FashionMNIST, CIFAR10, CIFAR100])
def test_missing_files_say_where_to_put_them(plugin, options):
    with pytest.raises(DataError, match=rf"{options.root / plugin.name}.* is missing: .*--download") as caught:
        plugin("", options).train()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("plugin", [MNIST, FashionMNIST, CIFAR10, CIFAR100])
def test_a_failed_download_is_one_line(plugin, options, monkeypatch):
    def offline(*args, **kwargs):
        raise RuntimeError("Error downloading x:\nTried http://a, got:\nno network")

    monkeypatch.setattr(plugin.reader(), "download", offline)
    with pytest.raises(DataError, match=rf"cannot download {plugin.name} \(Error downloading x\); .* into ") as caught:
        plugin("", replace(options, download=True)).train()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("plugin", [MNIST, FashionMNIST, CIFAR10, CIFAR100])
def test_something_else_that_arrives_is_removed(plugin, options, monkeypatch):
    def portal(url, path, *args, **kwargs):
        Path(path).write_text("<html>please log in</html>", encoding="utf-8")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", portal)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    with pytest.raises(DataError, match=r"\(what arrived as .*gz was not the published file but perhaps a") as caught:
        plugin("", replace(options, download=True)).train()
    assert "\n" not in str(caught.value)
    assert not list(options.root.rglob("*gz"))


def test_a_download_puts_the_files_in_place(idx_files, options, monkeypatch):
    raw = idx_files(MNIST)
    kept = {path.name: path.read_bytes() for path in raw.iterdir()}
    for path in raw.iterdir():
        path.unlink()
    monkeypatch.setattr(
        MNIST.reader(), "download", lambda self: [(raw / name).write_bytes(content) for name, content in kept.items()]
    )
    assert len(MNIST("", replace(options, download=True)).train()) == N["train"]


def test_a_page_in_the_place_of_a_file_is_named_whether_downloads_are_allowed_or_not(idx_files, options, monkeypatch):
    path = idx_files(MNIST) / "train-images-idx3-ubyte"
    path.write_text("<html>please log in</html>")
    monkeypatch.setattr(MNIST.reader(), "download", lambda self: pytest.fail("nothing is missing"))
    for download in (False, True):
        with pytest.raises(DataError, match=f"{path} is damaged .*; delete it and put the four unpacked files"):
            MNIST("", replace(options, download=download)).train()


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_truncated_idx_file_is_named(name, idx_files, options):
    path = idx_files(MNIST) / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{path} is damaged \(\d+ bytes instead of \d+\); delete it and put"):
        MNIST("", options).train()


@IDX
def test_an_extract_is_read_with_a_warning_and_its_own_count(plugin, idx_files, options):
    raw = idx_files(plugin)
    (raw / "train-images-idx3-ubyte").write_bytes(idx(DIGITS["train"][:-2]))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(LABELS["train"][:-2]))
    dataset, n = plugin("", options), N["train"] - 2
    with pytest.warns(UserWarning, match=f"^{plugin.name} has {n} train images, not the published {N['train']}$"):
        assert (dataset.spec.n_train, dataset.spec.n_test) == (n, N["t10k"])
    train = dataset.train()
    assert len(train) == train.spec.n_train == n
    assert train.batch(range(n)).labels.tolist() == LABELS["train"][:-2].tolist()


def test_plan_and_delta_follow_the_count_of_the_files(idx_files, options, tmp_path):
    raw, n = idx_files(MNIST), N["train"] - 2
    (raw / "train-images-idx3-ubyte").write_bytes(idx(DIGITS["train"][:n]))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(LABELS["train"][:n]))
    with pytest.warns(UserWarning, match="not the published"):
        inputs = Inputs("mnist", "mnist", options, tmp_path)
    mechanism = DPSGD(name="steps", clip=1.0, n=inputs.spec.n_train, expected_batch=2, steps=1)
    mechanism.refuse_other_data(len(inputs.train))
    assert mechanism.sampling_rate == 2 / n


def test_images_and_labels_of_different_counts_are_refused(idx_files, options):
    path = idx_files(MNIST) / "train-images-idx3-ubyte"
    path.write_bytes(idx(DIGITS["train"][:-2]))
    n = N["train"]
    counts = f"{n - 2} images but train-labels-idx1-ubyte {n} labels"
    with pytest.raises(DataError, match=f"^{path} holds {counts}; delete both and put the four"):
        MNIST("", options).train()


def test_an_idx_file_without_records_is_named(idx_files, options):
    path = idx_files(MNIST) / "train-images-idx3-ubyte"
    path.write_bytes(idx(DIGITS["train"][:0]))
    with pytest.raises(DataError, match=rf"{path} is damaged \(its header is wrong\)"):
        MNIST("", options).train()


def test_an_idx_file_with_a_wrong_header_is_named(idx_files, options):
    path = idx_files(MNIST) / "train-labels-idx1-ubyte"
    path.write_bytes(b"\x00\x00\x09\x01" + path.read_bytes()[4:])
    with pytest.raises(DataError, match=rf"{path} is damaged \(its header is wrong\)"):
        MNIST("", options).train()


def test_labels_out_of_range_are_refused(idx_files, options):
    raw = idx_files(MNIST)
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(LABELS["train"] + 10))
    with pytest.raises(DataError, match=r"labels outside \[0, 10\)"):
        MNIST("", options).train()


@pytest.fixture
def cifar_files(options, monkeypatch):
    """cifar_files(plugin): see `write_cifar`."""
    return lambda plugin: write_cifar(plugin, options.root, monkeypatch)


@CIFAR
def test_cifar_pickles_are_read(plugin, cifar_files, options):
    _, images, labels = cifar_files(plugin)
    dataset = plugin("", options)
    for split, listing in ((dataset.train(), plugin.reader().train_list), (dataset.test(), plugin.reader().test_list)):
        batch = split.batch(range(len(split)))
        names = [name for name, _ in listing]
        expected = np.concatenate([images[name] for name in names]).reshape(-1, 3, 32, 32)
        assert torch.equal(batch.images, torch.from_numpy(expected))
        assert batch.labels.tolist() == [label for name in names for label in labels[name]]


def test_cifar_is_resized_on_request(cifar_files, options):
    cifar_files(CIFAR10)
    dataset = CIFAR10("", replace(options, resolution=8))
    assert dataset.spec.shape == dataset.train().batch([0, 1]).images.shape[1:] == (3, 8, 8)


@CIFAR
def test_a_damaged_pickle_is_named_before_it_is_unpickled(plugin, cifar_files, options):
    folder, _, _ = cifar_files(plugin)
    name, _ = plugin.reader().test_list[0]
    (folder / name).write_bytes((folder / name).read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{folder / name} is damaged \(its MD5 is not"):
        plugin("", options).train()


def test_a_cifar_of_another_count_is_refused(cifar_files, options, monkeypatch):
    cifar_files(CIFAR10)
    monkeypatch.setattr(CIFAR10, "n_train", 50_000)
    with pytest.raises(DataError, match="holds 20 images and 20 labels instead of 50000"):
        CIFAR10("", options).train()


def test_whatever_torchvision_raises_becomes_one_line(cifar_files, options, monkeypatch):
    folder, _, _ = cifar_files(CIFAR10)
    content = pickle.dumps({"no": "data"})
    (folder / "data_batch_1").write_bytes(content)
    listing = [["data_batch_1", hashlib.md5(content).hexdigest()], *CIFAR10.reader().train_list[1:]]
    monkeypatch.setattr(CIFAR10.reader(), "train_list", listing)
    with pytest.raises(DataError, match=r"cannot be read \('data'\); delete it and unpack cifar-10-python"):
        CIFAR10("", options).train()


def test_an_argument_is_refused(options):
    with pytest.raises(DataError, match="takes no argument; write 'mnist', not 'mnist:round'"):
        MNIST("round", options)


@pytest.mark.slow
def test_real_mnist(real_options):
    dataset = MNIST("", real_options)
    train, test = dataset.train(), dataset.test()
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.batch(range(5)).labels.tolist() == [5, 0, 4, 1, 9]
    assert test.batch(range(5)).labels.tolist() == [7, 2, 1, 0, 4]
    whole = train.batch(range(60_000))
    assert abs(whole.images.float().mean().item() * 32**2 / 28**2 - 33.318) < 0.01  # the published mean, 0.1307 · 255
    assert torch.bincount(whole.labels)[:3].tolist() == [5923, 6742, 5958]

"""Time and memory of the default metrics compared with clean-fid and torch-fidelity, one metric at a time.

All packages load the same Inception with random weights and the same images of shapes. The other packages read
synthetic and reference images as PNG files and process both sets for every metric (one set for the Inception Score).
dpbench computes all default metrics that need no other weights, including its classifiers, without cached results; the
train set has the same size. Each measurement runs in its own process.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from rich.table import Table

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.data import DataOptions, ImageDataset
from dpbench.data.arrays import Subset
from dpbench.data.opening import open_dataset
from dpbench.evaluation.evaluator import default_metrics, evaluate
from dpbench.evaluation.scores import Scores
from dpbench.models.pretrained import finding
from dpbench.models.pretrained.published import WEIGHTS
from perf._inception import FIDELITY, TORCHSCRIPT, random_inception
from perf._measure import peak_of

Way = Callable[[Path, int], object]


def sets(folder: Path, images: int) -> list[ImageDataset]:
    """(synthetic, reference, train): disjoint parts of the train split of `shapes`."""
    whole = open_dataset("shapes", DataOptions(folder / "data")).train()
    return [Subset(whole, range(k * images, (k + 1) * images)) for k in range(3)]


def write_pngs(folder: Path, images: int) -> None:
    for role, dataset in zip(("synthetic", "reference"), sets(folder, images), strict=False):
        (folder / role).mkdir()
        for i in range(images):
            pixels = dataset.batch([i]).images[0].permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(folder / role / f"{i:05d}.png")


def ours(folder: Path, images: int) -> Scores:
    """Computes all default metrics; scores with missing weights are empty."""
    (file,) = WEIGHTS["inception"].files
    path = folder / TORCHSCRIPT
    finding.places = lambda file: [folder / file.name]  # only these weights
    WEIGHTS["inception"] = replace(
        WEIGHTS["inception"], files=(replace(file, sha256=finding.sha256(path), size=path.stat().st_size),)
    )
    run = RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(folder))
    synthetic, reference, train = sets(folder, images)
    return evaluate(default_metrics(), synthetic, reference, run, train)


def by_clean_fid(metric: str, folder: Path, images: int) -> None:
    from cleanfid import fid
    from cleanfid.inception_torchscript import InceptionV3W

    network = InceptionV3W(str(folder), download=False)
    x, y = (
        fid.get_folder_features(str(folder / role), network, num_workers=0, device=torch.device("cpu"), mode="clean")
        for role in ("synthetic", "reference")
    )
    getattr(fid, metric)(x, y)


def by_torch_fidelity(metric: str, folder: Path, images: int) -> None:
    import torch_fidelity

    torch_fidelity.calculate_metrics(
        input1=str(folder / "synthetic"), input2=str(folder / "reference"), cuda=False, verbose=False, cache=False,
        feature_extractor_weights_path=str(folder / FIDELITY), kid_subset_size=min(1000, images), save_cpu_ram=True,
        feature_extractor="inception-v3-compat",
        **{metric: True},
    )  # fmt: skip


THEIRS: dict[str, Way] = {
    **{f"clean-fid {m}": partial(by_clean_fid, m) for m in ("fid_from_feats", "kernel_distance")},
    **{f"torch-fidelity {m}": partial(by_torch_fidelity, m) for m in ("fid", "kid", "isc", "prc")},
}


def silently(way: Way, folder: Path, images: int, threads: int) -> None:
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        way(folder, images)


def comparison(images: int, threads: int) -> Table:
    """Seconds and peak memory of each way.

    Args:
        images: images per set.
        threads: CPU threads of torch.
    """
    table = Table("way", "seconds", "peak memory [MiB]", title=f"all default metrics, {images:,} images of 32 x 32")
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        random_inception(folder)
        write_pngs(folder, images)
        for way, compute in {"dpbench, all default metrics": ours, **THEIRS}.items():
            start = time.perf_counter()
            peak, _ = peak_of(silently, compute, folder, images, threads)
            took[way] = time.perf_counter() - start
            table.add_row(way, f"{took[way]:.0f}", f"{peak / 2**20:.0f}")
            print(way, f"{took[way]:.0f} s", file=sys.stderr)
    mine, theirs = took["dpbench, all default metrics"], sum(took[way] for way in THEIRS)
    table.add_row("theirs, together", f"{theirs:.0f} ({theirs / mine:.1f} x)", "")
    return table

"""Stored samples, the sample grid and folder names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dpbench.core.captions import decode_captions
from dpbench.core.errors import DataError, DpbenchError
from dpbench.core.files import read_json
from dpbench.core.outcomes import Packed
from dpbench.core.progress import Quiet
from dpbench.core.specs import Conditions, DatasetSpec
from dpbench.results.sample_grid import CELL, COLUMNS, write_grid
from dpbench.results.samples import StoredSamples, _Shard, read_conditions, write_conditions, write_shard
from dpbench.results.stored_scores import StoredScores
from dpbench.results.trial_folder import TrialFolder, safe_name

SPEC = DatasetSpec("d", 3, 8, 10, 10, ("cat", "dog", "a long name"), True)


def write(
    folder: Path, spec: DatasetSpec = SPEC, count: int = 50, conditions: Conditions | None = None
) -> torch.Tensor:
    images = torch.randint(0, 256, (count, *spec.shape), dtype=torch.uint8)
    for number, start in enumerate(range(0, count, 20)):
        write_shard(folder, number, images[start : start + 20])
    write_conditions(folder, conditions or Conditions.balanced(count, spec.n_classes))
    return images


def test_stored_samples_are_read_with_their_conditions(tmp_path: Path) -> None:
    images = write(tmp_path)
    stored = StoredSamples(tmp_path, SPEC)
    index = [49, 0, 20, 19, 40, 20]
    batch = stored.batch(index)
    assert torch.equal(batch.images, images[index])
    assert batch.labels.tolist() == [i % 3 for i in index]
    assert len(stored) == 50


def test_stored_prompts_are_read_as_padded_captions(tmp_path: Path) -> None:
    prompts = ("a cat", "a long-haired dog", "")
    spec = replace(SPEC, classes=None, caption_bytes=9)
    write(tmp_path, conditions=Conditions.balanced(50, prompts), spec=spec)
    stored = StoredSamples(tmp_path, spec)
    batch = stored.batch([49, 0, 20])
    assert decode_captions(batch.captions) == [prompts[i % 3] for i in (49, 0, 20)]
    assert batch.captions.shape[1] == stored.batch([0]).captions.shape[1] == len(prompts[1])
    assert stored.conditions == Conditions.balanced(50, prompts)
    assert stored.labels is None


def test_conditions_are_stored_as_labels_or_texts(tmp_path: Path) -> None:
    for conditions, content in (
        (Conditions(2, (1, 0)), {"count": 2, "labels": [1, 0]}),
        (Conditions(2, ("é", "b")), {"count": 2, "labels": None, "texts": ["é", "b"]}),
        (Conditions(2), {"count": 2, "labels": None}),
    ):
        write_conditions(tmp_path, conditions)
        assert read_json(tmp_path / "conditions.json") == content
        assert read_conditions(tmp_path) == conditions


def test_fingerprint_depends_on_the_prompts(tmp_path: Path) -> None:
    write(tmp_path, conditions=Conditions(50, ("a",) * 50))
    first = StoredSamples(tmp_path, SPEC).fingerprint
    write_conditions(tmp_path, Conditions(50, ("a",) * 49 + ("b",)))
    assert StoredSamples(tmp_path, SPEC).fingerprint != first


def test_missing_prompt_raises_an_error(tmp_path: Path) -> None:
    write(tmp_path, conditions=Conditions(50, ("a",) * 49))
    with pytest.raises(DataError, match=r"holds 50 images"):
        StoredSamples(tmp_path, SPEC)


def test_fingerprint_depends_on_the_content(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    first = StoredSamples(tmp_path / "a", SPEC).fingerprint
    assert first == StoredSamples(tmp_path / "a", SPEC).fingerprint != StoredSamples(tmp_path / "b", SPEC).fingerprint


def test_damaged_or_missing_shard_error_names_the_file(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "00001.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"00001.npy is damaged"):
        StoredSamples(tmp_path, SPEC)
    (tmp_path / "00001.npy").unlink()
    with pytest.raises(DataError, match=r"holds 30 images, but conditions\.json says 50"):
        StoredSamples(tmp_path, SPEC)
    np.save(tmp_path / "00001.npy", np.zeros((20, 3, 4, 4), np.uint8))
    with pytest.raises(DataError, match=r"00001.npy holds uint8 \[20, 3, 4, 4\]"):
        StoredSamples(tmp_path, SPEC)


@contextmanager
def open_files(most: int) -> Iterator[None]:
    """Limits the number of files that this process may hold open."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_samples_with_more_shards_than_files_may_be_open_are_read(tmp_path: Path) -> None:
    """Regression test: each shard held a file open, and macOS allows 256 by default."""
    images = write(tmp_path, count=60 * 20)
    with open_files(most=50):
        stored = StoredSamples(tmp_path, SPEC)
        assert torch.equal(stored.batch(range(len(stored))).images, images)
        assert stored.fingerprint


def test_shard_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    write(tmp_path)
    stored = StoredSamples(tmp_path, SPEC)
    for read in (lambda: stored.batch([30]), lambda: _Shard.of(tmp_path / "00001.npy", SPEC)):
        with open_files(most=0), pytest.raises(DataError, match=r"^cannot read .*00001\.npy: Too many open files$"):
            read()


def test_shard_that_becomes_shorter_while_it_is_read_raises_an_error(tmp_path: Path) -> None:
    write(tmp_path)
    stored = StoredSamples(tmp_path, SPEC)
    os.truncate(tmp_path / "00001.npy", 1000)
    with pytest.raises(DataError, match=r"00001\.npy is damaged: it has become shorter"):
        stored.batch([39])


@pytest.mark.parametrize("classes", [None, SPEC.classes])
@pytest.mark.parametrize("channels", [1, 3])
def test_grid_has_one_row_per_class(tmp_path: Path, channels: int, classes: tuple[str, ...] | None) -> None:
    spec = DatasetSpec("d", channels, 8, 10, 10, classes, True)
    write(tmp_path, spec)
    write_grid(tmp_path / "samples.png", StoredSamples(tmp_path, spec), "m ε=1 seed 0")
    picture = Image.open(tmp_path / "samples.png")
    rows = len(classes) if classes else -(-50 // COLUMNS)
    assert picture.width > COLUMNS * CELL
    assert rows * CELL < picture.height < (rows + 1) * (CELL + 8)


def test_grid_has_no_rows_for_classes_without_samples(tmp_path: Path) -> None:
    write(tmp_path, count=2)
    write_grid(tmp_path / "samples.png", StoredSamples(tmp_path, SPEC), "few")
    assert 2 * CELL < Image.open(tmp_path / "samples.png").height < 3 * CELL


def test_names_are_converted_to_safe_folder_names() -> None:
    assert safe_name("fashion-mnist") == "fashion-mnist"
    first, second = safe_name("folder:/data/my faces"), safe_name("folder:/other/my faces")
    assert first.startswith("folder-my-faces-")
    assert first != second
    assert safe_name("..") not in ("..", ".")
    assert "/" not in safe_name("folder:/")
    assert len(safe_name(f"folder:/data/{'x' * 255}")) < 100


def test_a_trial_without_samples_has_no_record(tmp_path: Path) -> None:
    with pytest.raises(DpbenchError, match="has no sampled trial"):
        TrialFolder(tmp_path).read_sampled()


def test_hidden_scores_stay_in_the_sensitive_folder(tmp_path: Path) -> None:
    scores = {
        "values": {"a": 1.0, "b": 2.0}, "ci95": {"a": 0.1, "b": 0.2}, "missing": {}, "protocol": {},
        "caveats": ("a: odd", "b: few images"), "seconds": {}, "outcomes": {}, "scored": {},
    }  # fmt: skip
    TrialFolder(tmp_path).write_scores(scores, {"a": "it tells"}, ["a: odd"], public_benchmark=False)
    shown = TrialFolder(tmp_path).read_scores()
    assert (shown.values, shown.missing) == ({"a": None, "b": 2.0}, {"a": "it tells"})
    assert shown.caveats == ("b: few images",)
    assert shown.ci95 == {"b": 0.2}
    assert TrialFolder(tmp_path).read_scores(all_columns=True) == StoredScores(**scores)


@pytest.mark.parametrize("public", [True, False])
def test_what_single_test_images_were_is_shown_for_public_benchmarks_alone(tmp_path: Path, public: bool) -> None:
    outcomes = {"a": Packed.of(np.ones((1, 2, 9)))}
    scores = {
        "values": {"a": 1.0}, "ci95": {}, "missing": {}, "protocol": {}, "caveats": (), "seconds": {}, "scored": {},
        "outcomes": {name: asdict(packed) for name, packed in outcomes.items()},
    }  # fmt: skip
    TrialFolder(tmp_path).write_scores(scores, {}, [], public_benchmark=public)
    assert TrialFolder(tmp_path).read_scores().outcomes == (outcomes if public else {})
    assert TrialFolder(tmp_path).read_scores(all_columns=True).outcomes == outcomes


def test_damaged_scores_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text('{"values": 3}')
    with pytest.raises(DpbenchError, match=r"scores.json is damaged"):
        TrialFolder(tmp_path).read_scores()


def test_unfinished_files_are_never_read_and_removed_under_the_lock(tmp_path: Path) -> None:
    """Regression test: the temporary file of a killed process was read as a shard."""
    images = write(tmp_path / "samples")
    left = tmp_path / "samples" / ".tmp-00000-abcdef.npy"
    np.save(left, images[:3].numpy())
    assert len(StoredSamples(tmp_path / "samples", SPEC)) == 50
    with TrialFolder(tmp_path).lock(Quiet()):
        assert not left.exists()
        assert (tmp_path / "samples" / "00000.npy").exists()


@pytest.mark.parametrize("place", ["drawn/images/cat", ".drawn-x8k2", "sensitive/drawn", "sensitive/.drawn-x8k2"])
def test_files_that_another_process_draws_meanwhile_are_kept_under_the_lock(tmp_path: Path, place: str) -> None:
    """Regression test: `dpbench sample` lost the file that it was writing to a run that took the lock."""
    (tmp_path / place).mkdir(parents=True)
    growing = tmp_path / place / ".tmp-00003-abcdef.npy"
    growing.touch()
    with TrialFolder(tmp_path).lock(Quiet()):
        assert growing.exists()


@pytest.mark.parametrize("content", ["[]", "null", '{"count": 50}', '{"count": "50", "labels": null}', "NaN", "["])
def test_damaged_conditions_error_names_the_file(tmp_path: Path, content: str) -> None:
    write(tmp_path)
    (tmp_path / "conditions.json").write_text(content)
    with pytest.raises(DpbenchError, match=r"conditions\.json is damaged \("):
        StoredSamples(tmp_path, SPEC)


def test_labels_of_no_class_raise_an_error(tmp_path: Path) -> None:
    write(tmp_path, conditions=Conditions(50, (3,) * 50))
    samples = StoredSamples(tmp_path, SPEC)
    with pytest.raises(DataError, match=r"conditions\.json is damaged: some labels belong to no class"):
        samples.check_labels()

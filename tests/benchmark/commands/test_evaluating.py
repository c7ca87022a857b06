"""Leaderboard rows of externally generated images."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import events
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import dpbench
from dpbench.benchmark.commands import evaluating
from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json
from dpbench.results.over_seeds import aggregate
from dpbench.results.ranking import rank

X = np.random.default_rng(0).integers(0, 256, (30, 16, 16)).astype(np.uint8)
Y = np.sort(np.arange(30) % 2)


@pytest.fixture
def images(tiny: Path) -> Path:
    """An .npz file with thirty images, sorted by class with "dark" first."""
    np.savez(tiny.parent / "theirs.npz", x=X, y=Y)
    return tiny.parent / "theirs.npz"


def evaluate(images: Path, out: Path, dataset: str = "tiny", **options: Any) -> pd.DataFrame:
    defaults = {"metrics": ["brightness"], "device": "cpu", "references": ()}
    return dpbench.evaluate(images, dataset, out=out, **(defaults | options))


def folders(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.rglob("log.txt"))


def as_files(images: Path, folder: Path) -> Path:
    with np.load(images) as arrays:
        for number, (image, label) in enumerate(zip(arrays["x"], arrays["y"], strict=True)):
            path = folder / ("dark", "bright")[label] / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return folder


def test_row_marks_external_images_and_claimed_epsilon(images: Path, tiny: Path) -> None:
    (row,) = evaluate(images, tiny, epsilon=10, delta=1e-5, public="imagenet").to_dict("records")
    assert (row["method"], row["reference"], row["dataset"]) == ("theirs", "external", "tiny")
    assert (row["epsilon"], row["delta"], row["public_source"]) == (10, 1e-5, "imagenet")
    assert row["accounting"] == "claimed, unverified"
    assert row["notes"] == ("ε = 10 is claimed, not verified",)
    assert math.isnan(row["epsilon_spent"])
    assert pd.isna(row["seed"])
    assert (row["n_samples"], row["n_reference"], row["n_train"], row["resolution"]) == (30, 40, 200, 16)
    assert row["brightness"] >= 0
    assert pd.read_csv(tiny / "leaderboard.csv")["key"].tolist() == [row["key"]]


def test_no_epsilon_without_a_claim(images: Path, tiny: Path) -> None:
    (row,) = evaluate(images, tiny).to_dict("records")
    assert math.isnan(row["epsilon"])
    assert (row["accounting"], row["notes"]) == ("", ())


def test_folder_has_all_files_needed_for_scoring(images: Path, tiny: Path) -> None:
    (row,) = evaluate(images, tiny, name="their method").to_dict("records")
    (folder,) = folders(tiny)
    assert folder.parent.parent == tiny / "tiny"
    assert folder.name == row["key"]
    assert {path.name for path in folder.glob("[!.]*")} == {
        "trial.json",
        "scores.json",
        "samples",
        "checksums.json",
        "samples.png",
        "log.txt",
    }
    assert np.array_equal(np.load(folder / "samples/00000.npy"), X[:, None])
    assert read_json(folder / "samples/conditions.json") == {"count": 30, "labels": Y.tolist()}
    images.unlink()
    again = dpbench.evaluate_all(tiny, ["classy", "brightness"], device="cpu").iloc[0]
    assert (again["brightness"], again["classy"]) == (row["brightness"], 0.5)


def test_grid_has_every_class_for_sorted_images(images: Path, tiny: Path) -> None:
    evaluate(images, tiny)
    picture = np.asarray(Image.open(folders(tiny)[0] / "samples.png").convert("L"))
    first_bright = X[Y == 1][0].repeat(4, 0).repeat(4, 1)
    places = np.lib.stride_tricks.sliding_window_view(picture, (64, 64))[:, :100]
    assert (places == first_bright).all((2, 3)).any()


def test_external_rows_are_not_ranked(images: Path, tiny: Path) -> None:
    dpbench.run(
        ["fake"], "tiny", [10.0], public="tiny-public", samples=30, delta=1e-6, metrics=["brightness"],
        references=(), out=tiny,
    )  # fmt: skip
    evaluate(images, tiny, epsilon=10, delta=1e-6)
    lines = aggregate(dpbench.evaluate_all(tiny, ["brightness"], device="cpu"))
    ranks = dict(
        zip(lines["method"], rank(lines, dpbench.METRICS.get("brightness").columns[0], "brightness"), strict=True)
    )
    assert ranks["fake"] == 1
    assert pd.isna(ranks["theirs"])


def test_same_images_are_scored_once(images: Path, tiny: Path) -> None:
    first = evaluate(images, tiny)
    second = evaluate(images, tiny)
    assert events.EVENTS.count("brightness") == 1
    pd.testing.assert_frame_equal(first, second)
    row = evaluate(images, tiny, metrics=["brightness", "classy"]).iloc[0]
    assert events.EVENTS.count("brightness") == 1
    assert row["classy"] == 0.5
    assert len(folders(tiny)) == 1


def test_trial_key_does_not_depend_on_the_file_format(images: Path, tiny: Path) -> None:
    with np.load(images) as arrays:
        order = np.argsort(arrays["y"] == 0, kind="stable")  # folders sort "bright" before "dark"
        np.savez(images, x=arrays["x"][order], y=arrays["y"][order])
    keys = {evaluate(path, tiny, name="x")["key"][0] for path in (images, as_files(images, tiny.parent / "files"))}
    assert len(keys) == 1


def test_trial_key_depends_on_images_labels_name_claim_and_dataset(images: Path, tiny: Path) -> None:
    def key(images: Path = images, **options: Any) -> str:
        return str(evaluate(images, tiny, **({"name": "x"} | options))["key"][0])

    other, relabelled = tiny.parent / "other.npz", tiny.parent / "relabelled.npz"
    np.savez(other, x=X[::-1], y=Y)
    np.savez(relabelled, x=X, y=1 - Y)
    keys = [
        key(),
        key(other),
        key(relabelled),
        key(name="y"),
        key(epsilon=1),
        key(epsilon=2),
        key(dataset="tiny:plain"),
    ]
    assert len(set(keys)) == 7


def test_missing_labels_are_noted_as_the_reason_for_empty_cells(images: Path, tiny: Path) -> None:
    np.savez(images, X)
    row = evaluate(images, tiny, metrics=["brightness", "classy"]).iloc[0]
    assert math.isnan(row["classy"])
    assert "classy: the dataset has no classes" in row["notes"]
    assert row["brightness"] >= 0


def test_row_notes_image_conversions(images: Path, tiny: Path) -> None:
    np.savez(images, X / 255)
    row = evaluate(images, tiny, epsilon=1).iloc[0]
    assert row["notes"] == (
        "ε = 1 is claimed, not verified",
        "pixels were given as floats in [0, 1] and rounded to 256 levels",
    )


def test_real_reference_is_shared_with_run(images: Path, tiny: Path) -> None:
    run = dpbench.run(
        ["fake"], "tiny", [], references=["real"], samples=30, public="tiny-public", metrics=["brightness"], out=tiny
    )
    rows = dpbench.evaluate(images, "tiny", out=tiny, metrics=["brightness"], device="cpu")
    assert rows["reference"].tolist() == ["external", "real"]
    assert rows["key"][1] == run["key"][0]
    assert events.EVENTS.count("brightness") == 2


def test_interrupted_copy_is_repeated(images: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    write_grid = evaluating.write_grid
    monkeypatch.setattr(evaluating, "write_grid", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(images, tiny)
    monkeypatch.setattr(evaluating, "write_grid", write_grid)
    assert not list(tiny.rglob("trial.json"))
    assert not (tiny / "leaderboard.csv").exists()
    assert evaluate(images, tiny)["brightness"].notna().all()


def test_images_changed_while_reading_raise_an_error(images: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = evaluating._followed

    def change(generated: Any, *arguments: Any) -> Any:
        yield from (part // 2 if "copying" in arguments else part for part in parts(generated, *arguments))

    monkeypatch.setattr(evaluating, "_followed", change)
    with pytest.raises(DpbenchError, match=r"theirs\.npz changed while it was read; run the same command again"):
        evaluate(images, tiny)
    assert not list(tiny.rglob("trial.json"))


@pytest.mark.parametrize(("epsilon", "hidden"), [(None, True), (math.inf, True), (5.0, False)])
def test_unclaimed_images_of_undeclared_data_stay_sensitive(
    images: Path, tiny: Path, epsilon: float | None, hidden: bool
) -> None:
    row = evaluate(images, tiny, "tiny:secret", epsilon=epsilon).iloc[0]
    (folder,) = folders(tiny)
    assert (folder / "samples").exists() != hidden
    assert (folder / "sensitive/samples").exists() == hidden
    assert math.isnan(row["brightness"]) == hidden
    declared = evaluate(images, tiny / "declared", "tiny:secret", epsilon=epsilon, public_benchmark=True)
    assert declared["brightness"].notna().all()


def test_a_claim_may_be_text() -> None:
    claim = evaluating.Claim("theirs", "10", "1e-5")
    assert (claim.epsilon, claim.delta) == (10.0, 1e-5)


BAD = [
    ({"dataset": "tinny"}, "unknown dataset 'tinny'; did you mean tiny"),
    ({"metrics": ["brigthness"]}, "unknown metric 'brigthness'"),
    ({"references": ["public"]}, "only the reference row 'real', not 'public'"),
    ({"epsilon": -1}, "ε must be a positive number, not -1"),
    ({"epsilon": math.nan}, "ε must be a positive number, not nan"),
    ({"epsilon": 1, "delta": 2}, r"δ must lie in \(0, 1\), not 2"),
    ({"delta": 1e-5}, "a claim of δ needs a claim of ε"),
    ({"epsilon": "ten"}, "epsilon: input should be a valid number"),
    ({"public": None}, "public: input should be a valid string"),
    ({"images": 3}, "images: input is not a valid path"),
    ({"metrics": []}, "no metric is named"),
    ({"name": ""}, "need a name for the leaderboard"),
    ({"resolution": 32}, r"theirs\.npz \(x\) has 16x16 pixels, but tiny has 32x32"),
    ({"device": "cuda:99"}, "is not available"),
    ({"images": Path("/nowhere.npz")}, "/nowhere.npz does not exist"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=lambda value: str(value)[:40])
def test_invalid_request_writes_no_files(images: Path, tiny: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DpbenchError, match=message):
        evaluate(**({"images": images, "out": tiny} | change))
    assert not tiny.exists()


def test_folder_source_is_named_after_the_folder(images: Path, tiny: Path) -> None:
    folder = as_files(images, tiny.parent / "v1.5")
    assert evaluate(folder, tiny)["method"].tolist() == ["v1.5"]
    assert json.loads((folders(tiny)[0] / "trial.json").read_text())["method"] == "v1.5"


@pytest.mark.parametrize("place", ["samples", ""])
def test_own_samples_and_trial_folders_are_read(tiny: Path, place: str) -> None:
    run = {"public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"], "references": ()}
    own = dpbench.run("fake", "tiny", [1.0], out=tiny, device="cpu", **run).iloc[0]
    (folder,) = folders(tiny)
    row = evaluate(folder / place, tiny / "other", name="mine").iloc[0]
    assert (row["n_samples"], row["brightness"]) == (30, own["brightness"])
    (copy,) = folders(tiny / "other")
    assert (copy / "samples/conditions.json").read_bytes() == (folder / "samples/conditions.json").read_bytes()
    unlabelled = evaluate(folder, tiny / "other", "tiny:plain", name="mine").iloc[0]
    assert unlabelled["notes"] == ("labels or prompts of the samples were ignored, as tiny:plain has no classes",)


def test_own_samples_in_the_sensitive_folder_are_read(tiny: Path) -> None:
    run = {"public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"], "references": ()}
    dpbench.run("fake", "tiny:secret", [math.inf], out=tiny, device="cpu", **run)
    (folder,) = folders(tiny)
    assert (folder / "sensitive/samples").is_dir()
    assert evaluate(folder, tiny / "other", "tiny:secret", name="mine")["n_samples"].tolist() == [30]


def test_own_samples_of_another_shape_or_classes_are_refused(tiny: Path) -> None:
    run = {"public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"], "references": ()}
    dpbench.run("fake", "tiny", [1.0], out=tiny, device="cpu", **run)
    (folder,) = folders(tiny)
    with pytest.raises(
        DpbenchError, match=r"00000.npy holds uint8 \[30, 1, 16, 16\], not uint8 images of \[1, 32, 32\]"
    ):
        evaluate(folder, tiny / "other", resolution=32)
    conditions = json.loads((folder / "samples/conditions.json").read_text())
    (folder / "samples/conditions.json").write_text(json.dumps(conditions | {"labels": [2] * 30}))
    with pytest.raises(DpbenchError, match="samples was sampled with 3 classes, but tiny has 2"):
        evaluate(folder, tiny / "other")


@pytest.mark.parametrize("name", ["two\nlines", "x" * 300])
def test_names_of_rows_are_one_line(images: Path, tiny: Path, name: str) -> None:
    with pytest.raises(DpbenchError, match="the row name "):
        evaluate(images, tiny, name=name)
    assert not tiny.exists()

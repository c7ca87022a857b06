"""Experiment files: what they may say, what overrides what, and that a stored one is the same experiment again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from record import recorded

import dpbench
from dpbench import RunRequest
from dpbench.benchmark.experiment import as_experiment, read_experiment, store_experiment
from dpbench.core.errors import DpbenchError

GRID = """
methods = ["fake", "fake[spread=6]"]
epsilons = [1, inf]
seeds = 2
references = "real,public"
public = "tiny-public"

[settings]
levels = 2
refiner.name = "bicubic"
"fake:batch" = 20

[datasets.tiny]

[datasets."tiny:plain"]
seeds = 1
settings = { levels = 3 }
"""


def write(folder: Path, text: str, name: str = "experiment.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_what_stands_below_a_dataset_holds_for_it_alone(tmp_path: Path) -> None:
    first, second = read_experiment(write(tmp_path, GRID), {})
    assert (first.dataset, second.dataset) == ("tiny", "tiny:plain")
    assert (first.seeds, second.seeds) == (2, 1)
    assert first.methods == second.methods == ("fake", "fake[spread=6]")
    assert first.epsilons == (1.0, math.inf)
    assert first.references == ("real", "public")
    assert first.settings == {"levels": 2, "refiner.name": "bicubic", "fake:batch": 20}
    assert second.settings == first.settings | {"levels": 3}
    assert first.samples == RunRequest.of().samples


def test_options_of_the_command_line_take_precedence(tmp_path: Path) -> None:
    path = write(tmp_path, GRID)
    first, second = read_experiment(path, {"seeds": 5, "settings": {"levels": "4"}})
    assert (first.seeds, second.seeds) == (5, 5)
    assert second.settings == {"levels": "4", "refiner.name": "bicubic", "fake:batch": 20}
    (only,) = read_experiment(path, {"dataset": "tiny:plain"})
    assert (only.dataset, only.seeds, only.settings["levels"]) == ("tiny:plain", 1, 3)
    (other,) = read_experiment(path, {"dataset": "shapes"})
    assert (other.dataset, other.seeds, other.settings["levels"]) == ("shapes", 2, 2)


@pytest.mark.parametrize(
    ("text", "datasets"),
    [
        ("", ["shapes"]),
        ('dataset = "mnist"', ["mnist"]),
        ('datasets = ["mnist", "shapes"]', ["mnist", "shapes"]),
    ],
)
def test_datasets_can_be_given_in_three_ways(tmp_path: Path, text: str, datasets: list[str]) -> None:
    assert [request.dataset for request in read_experiment(write(tmp_path, text), {})] == datasets


def test_yaml_says_the_same(tmp_path: Path) -> None:
    text = "methods: [fake]\nepsilons: [1, .inf]\ndelta: 1e-6\ndatasets:\n  tiny:\n  tiny:plain: {seeds: 3}\n"
    first, second = read_experiment(write(tmp_path, text, "experiment.yaml"), {})
    assert (first.epsilons, first.delta, first.seeds) == ((1.0, math.inf), 1e-6, 1)
    assert (second.dataset, second.seeds) == ("tiny:plain", 3)


def test_lists_can_be_lone_values_or_as_on_the_command_line(tmp_path: Path) -> None:
    text = "methods = 'fake,alone'\nepsilons = 5\nreferences = 'none'\nplugins = 'mine.py'"
    (request,) = read_experiment(write(tmp_path, text), {})
    assert (request.methods, request.epsilons, request.references) == (("fake", "alone"), (5.0,), ())
    assert request.plugins == (Path("mine.py"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "epsilon = [1]",
            r"experiment.toml: unknown key 'epsilon'; the keys are methods, dataset, epsilons, .*datasets",
        ),
        ("[datasets.tiny]\neps = 1", "unknown key 'eps'"),
        ("seeds = 'many'", "experiment.toml: seeds: input should be a valid integer"),
        ("epsilons = [1, 'x']", "epsilons: 1: input should be a valid number"),
        ("references = {}", "experiment.toml: references: input should be a list, not {}"),
        ("job = 'num_cpus=4'", "experiment.toml: job: input should be a valid dictionary"),
        ("epsilons = [0]", "ε = 0 is only for the public reference"),
        ("settings = 'steps=1'", "settings must be a table of settings"),
        ("datasets = 'tiny'", "datasets must be a list of names, or a table"),
        ("datasets = []", "datasets is empty; name at least one"),
        ("datasets = ['a']\ndataset = 'b'", "give either dataset, or datasets"),
        ("seeds = ", "cannot read .*experiment.toml: "),
    ],
)
def test_a_wrong_file_is_answered_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DpbenchError, match=message) as caught:
        read_experiment(write(tmp_path, text), {})
    assert "\n" not in str(caught.value)


def test_other_files_are_no_experiments(tmp_path: Path) -> None:
    for path, message in (
        (write(tmp_path, "", "experiment.ini"), "must end with .toml or .yaml or .yml"),
        (tmp_path / "missing.toml", "cannot read .*missing.toml: No such file"),
        (write(tmp_path, "- 1", "list.yaml"), "an experiment file has lines such as"),
        (write(tmp_path, "a: [", "broken.yaml"), "cannot read .*broken.yaml: "),
    ):
        with pytest.raises(DpbenchError, match=message):
            read_experiment(path, {})


def test_a_stored_experiment_gives_the_same_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    requests = read_experiment(write(tmp_path, GRID), {"out": Path("results"), "plugins": (Path("mine.py"),)})
    stored = store_experiment(requests, tmp_path)
    again = read_experiment(stored, {})
    absolute: dict[str, Any] = {"out": tmp_path / "results", "plugins": (tmp_path / "mine.py",)}
    assert [vars(request) for request in again] == [vars(request) | absolute for request in requests]
    assert store_experiment(again, tmp_path) == stored


def test_a_stored_experiment_names_every_folder_of_public_images_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for public, stored in (
        ("folder:a", f"folder:{tmp_path / 'a'}"),
        ("auto:folder:b,folder:a", f"auto:folder:{tmp_path / 'a'},folder:{tmp_path / 'b'}"),
        ("nowhere:a", "nowhere:a"),
        ("auto:figures", "auto:figures"),
    ):
        requests = [RunRequest.of("fake", "tiny", public=public)]
        assert as_experiment(requests)["public"] == stored


def test_a_run_stores_what_runs_it_again_without_spending(tiny: Path) -> None:
    options: dict[str, Any] = {
        "public": "tiny-public", "delta": 1e-6, "samples": 30, "metrics": ["brightness"], "references": (),
        "device": "cpu", "out": tiny, "settings": {"spread": 7.0}, "force": True,
    }  # fmt: skip
    rows = dpbench.run("fake", "tiny", [1, math.inf], **options)
    (stored,) = (tiny / "experiments").iterdir()
    (request,) = read_experiment(stored, {})
    assert not request.force
    again = dpbench.run(**vars(request))
    assert list(again["key"]) == list(rows["key"])
    assert len(recorded()) == 1
    assert [*(tiny / "experiments").iterdir()] == [stored]

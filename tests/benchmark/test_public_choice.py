"""`--public auto:A,B`: chosen afresh in every trial, paid, recorded; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import events
import fakes
import pandas as pd
import pytest
import torch

import dpbench
from dpbench import DATASETS, EXTRACTORS, Extractor, ImageDataset, Method
from dpbench.benchmark.commands.dry_run import dry_run
from dpbench.benchmark.public_choice import canonical_public
from dpbench.benchmark.request import RunRequest
from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json
from dpbench.methods.cores.votes.source_choice import VOTES
from dpbench.privacy.vault import Vault

AUTO = "auto[noise=5]:tiny-public,black"


class Black(fakes.TinyPublic):
    """Public images that are black, and so not nearest to any."""

    @property
    def spec(self):
        return dpbench.DatasetSpec("black", 1, self.options.resolution or 16, 30, 0, None, True)

    def open_train(self) -> ImageDataset:
        images = fakes.TinyImages(self.spec, 30, 3)
        images.images = torch.zeros_like(images.images)
        return images


@pytest.fixture
def chosen(tiny: Path) -> Path:
    """Registers another public source beside "tiny-public"; private images choose the latter."""
    DATASETS.register("black")(Black)
    return tiny


OPTIONS: dict[str, Any] = {"dataset": "tiny", "public": AUTO, "epsilons": (2.0,), "samples": 10, "delta": 1e-6,
                           "metrics": ["brightness"], "references": (), "device": "cpu"}  # fmt: skip


def run(out: Path, method: str = "fake", **options: Any) -> pd.DataFrame:
    return dpbench.run(method, out=out, **OPTIONS | options)


def ledgers(out: Path) -> list[Any]:
    return [read_json(path) for path in sorted(out.rglob("ledger.json"))]


def test_row_says_what_was_chosen_and_what_from(chosen: Path) -> None:
    row = run(chosen).iloc[0]
    assert (row["public_source"], row["public_choice"]) == ("auto[noise=5.0]:black,tiny-public", "tiny-public")
    assert 0.995 * 2 <= row["epsilon_spent"] <= 2
    assert (row["accounting"], row["track"], row["queries"]) == ("verified", "images", 2)
    ((votes, mean),) = (ledger["mechanisms"] for ledger in ledgers(chosen))
    assert (votes["name"], votes["clip"], votes["noise_multiplier"], votes["releases_spent"]) == (VOTES, 1.0, 5.0, 1)
    assert (mean["name"], mean["releases_spent"]) == ("mean", 1)
    (log,) = chosen.rglob("log.txt")
    assert "public source chosen: tiny-public" in log.read_text(encoding="utf-8")


def test_a_choice_without_noise_of_undeclared_data_is_not_written(chosen: Path) -> None:
    rows = run(chosen, dataset="tiny:secret", references=("nonprivate",), metrics=["brightness"])
    assert rows.set_index("reference")["public_choice"].to_dict() == {"": "tiny-public", "nonprivate": ""}
    assert sum("public source chosen" in log.read_text(encoding="utf-8") for log in chosen.rglob("log.txt")) == 1


def test_every_trial_chooses_and_pays_afresh(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    released = Vault.noisy_sum
    monkeypatch.setattr(Vault, "noisy_sum", lambda self, name, *more: asked.append(name) or released(self, name, *more))
    rows = run(chosen, seeds=2)
    assert asked == [VOTES, "mean"] * 2
    assert events.EVENTS.count("fit") == 2
    assert len(set(rows["key"])) == 2
    assert [m["releases_spent"] for ledger in ledgers(chosen) for m in ledger["mechanisms"]] == [1] * 4


def test_sources_in_another_order_are_the_same_trial(chosen: Path) -> None:
    (first,), (second,) = run(chosen)["key"], run(chosen, public="auto[noise=5.0]:black, tiny-public")["key"]
    assert first == second
    assert events.EVENTS.count("fit") == 1
    assert run(chosen, public="auto[noise=6]:black,tiny-public")["key"][0] != first
    assert run(chosen, public="tiny-public")["public_choice"][0] == ""


def test_a_trial_depends_on_the_code_of_the_embedding_in_which_they_choose(chosen: Path) -> None:
    class Corner(Extractor):
        description = "a few pixels"

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :4].float()

    EXTRACTORS.register("corner")(Corner)
    pixels, corner = (run(chosen, public=f"auto[noise=5,{embedding}]:tiny-public,black")["source_hash"][0]
                      for embedding in ("images=500", "embedding=corner"))  # fmt: skip
    assert pixels != corner


def test_an_interrupted_trial_continues_with_its_choice(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fakes.FakeMean.fit
    monkeypatch.setattr(fakes.FakeMean, "fit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(chosen)
    (released,) = chosen.rglob(f"*{VOTES.replace(' ', '*')}*")
    stored = released.read_bytes()
    monkeypatch.setattr(fakes.FakeMean, "fit", fit)
    fresh: list[str] = []
    compute = Vault._fresh
    monkeypatch.setattr(Vault, "_fresh", lambda self, *a: fresh.append(a[1].name) or compute(self, *a))
    row = run(chosen).iloc[0]
    assert stored
    assert (fresh, row["public_choice"]) == (["mean"], "tiny-public")
    (record,) = (chosen.parent / "state").rglob("*.jsonl")
    assert len(record.read_text(encoding="utf-8").splitlines()) == 1


def test_the_stored_model_needs_no_choice(chosen: Path) -> None:
    run(chosen)
    (folder,) = (path.parent for path in chosen.rglob("trial.json"))
    assert dpbench.load(folder).sample(4).shape == (4, 1, 16, 16)


def test_the_dry_run_shows_the_votes(chosen: Path) -> None:
    (plan,) = dry_run(RunRequest.of("fake", out=chosen, **OPTIONS)).plans
    assert [m.name for m in plan.plan.mechanisms] == [VOTES, "mean"]
    assert events.EVENTS == ["train"]


def test_there_is_no_public_reference(chosen: Path) -> None:
    assert run(chosen, references=("public",))["reference"].tolist() == [""]


def test_the_non_private_reference_counts_without_noise(chosen: Path) -> None:
    row = run(chosen, epsilons=(), references=("nonprivate",)).iloc[0]
    assert (row["reference"], row["public_choice"]) == ("nonprivate", "tiny-public")


@pytest.mark.parametrize(
    ("method", "public", "message"),
    [
        ("fake", "auto:tiny-public", "chooses between two or more sources, not only 'tiny-public'"),
        ("fake", "auto", "chooses between two or more sources, not none"),
        ("fake", "auto:black,nowhere", "unknown dataset 'nowhere'"),
        ("fake", "auto:black,tiny", "'tiny' overlaps with the sensitive dataset"),
        ("fake", "auto:black,tiny-public,black", "names black more than once"),
        ("fake", "auto[loud=1]:black,tiny-public", "unknown setting 'loud'"),
        ("fake", "auto[noise=0]:black,tiny-public", "noise"),
        ("fake", "auto[embedding=faces]:black,tiny-public", "unknown extractor 'faces'"),
        ("alone", AUTO, "learns from no public images"),
        ("alone", "nowhere", "unknown dataset 'nowhere'"),
        ("alone", "", "unknown dataset ''"),
    ],
)
def test_what_cannot_be_chosen_is_refused_before_anything_runs(
    chosen: Path, method: str, public: str, message: str
) -> None:
    with pytest.raises(DpbenchError, match=message.replace("(", r"\(")):
        run(chosen, method, public=public)
    assert not list(chosen.rglob("ledger.json"))


def test_one_source_is_written_as_ever() -> None:
    assert canonical_public("textures:1") == "textures:1"
    assert canonical_public("auto: textures:1 , figures") == "auto:figures,textures:1"
    assert issubclass(dpbench.METHODS.get("dp-sgd"), Method)

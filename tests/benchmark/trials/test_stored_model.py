"""The models of finished trials draw images again: the same ones, others, and as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any, ClassVar

import events
import fakes
import pytest
import torch

import dpbench
from dpbench import METHODS, REFINERS, Conditions, DpbenchError
from dpbench.benchmark.trials.stored_model import StoredModel
from dpbench.core.config import Choice, plugin_option
from dpbench.core.errors import PrivacyError
from dpbench.data.opening import open_generated
from dpbench.refiners.regression import Regression, RegressionConfig
from dpbench.results.samples import StoredSamples
from dpbench.results.trial_folder import TrialFolder

MEAN = Path(__file__).parents[2] / "plugin_mean.py"

Run = Callable[..., TrialFolder]


@pytest.fixture
def run(tiny: Path) -> Run:
    def run(method: str = "fake", **options: Any) -> TrialFolder:
        defaults: dict[str, Any] = {
            "dataset": "tiny", "public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"],
            "references": (), "device": "cpu", "out": tiny, "seeds": 1,
        }  # fmt: skip
        row = dpbench.run(method, **defaults | options).iloc[-1]
        return TrialFolder.of(tiny, row["dataset"], row["method"], row["key"])

    return run


def stored(folder: TrialFolder, part: str = "samples") -> torch.Tensor:
    record = folder.read()
    assert record is not None
    images = StoredSamples(folder.path / part, record.spec).batch(range(30)).images
    assert images is not None
    return images


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_a_loaded_model_draws_the_stored_samples_again_and_others(run: Run) -> None:
    folder = run(seeds=2)
    events.EVENTS.clear()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    model = dpbench.load(folder.path, device="cpu")
    images = model.sample(30)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images, stored(folder))
    assert torch.equal(model.sample(30), images)
    assert not torch.equal(model.sample(30, seed=7), images)
    assert model.spec.classes == ("dark", "bright")
    assert isinstance(model.method, fakes.FakeMean)
    assert (model.method.config.spread, model.record.seed) == (5.0, 1)
    assert set(events.EVENTS) == {"sample"}  # neither the dataset nor the public source was opened


def test_a_trial_is_found_by_the_beginning_of_its_key(run: Run, tiny: Path) -> None:
    path = run().path
    start = path.name[:8]
    assert dpbench.load(start, tiny).folder.path == path
    copytree(path, path.with_name(f"{start}z"))
    with pytest.raises(DpbenchError, match=f"'{start}' is the beginning of 2 keys; give one folder: {path}, .*z"):
        dpbench.load(start, tiny)
    with pytest.raises(DpbenchError, match=f"neither the folder of a trial nor the beginning of a key in {tiny}"):
        dpbench.load("*", tiny)
    with pytest.raises(DpbenchError, match=r"no trial\.json or unscored\.json is in it"):
        dpbench.load(tiny, tiny)


def test_conditions_are_checked(run: Run) -> None:
    model = dpbench.load(run().path)
    assert model.sample(Conditions(2, (1, 1))).shape == (2, 1, 16, 16)
    assert model.labels(("bright", "0")) == (1, 0)
    for conditions, message in {
        0: "at least 1, not 0",
        Conditions(1, (2,)): "tiny has no label 2; the labels are 0 to 1",
        Conditions(3, (1,)): "there are 1 conditions for 3 images",
    }.items():
        with pytest.raises(DpbenchError, match=message):
            model.sample(conditions)
    with pytest.raises(DpbenchError, match="unknown class 'brigth'; did you mean bright"):
        model.labels(("brigth",))
    plain = dpbench.load(run(dataset="tiny:plain").path)
    with pytest.raises(DpbenchError, match="tiny:plain has no classes; leave the labels out"):
        plain.labels(("0",))
    with pytest.raises(DpbenchError, match="tiny:plain has no label 0; it has no classes"):
        plain.sample(Conditions(1, (0,)))


def test_exported_images_are_read_by_evaluate(run: Run, tiny: Path) -> None:
    folder = run()
    model = dpbench.load(folder.path)
    files = model.export(30)
    assert files.sheet == folder.path / "drawn" / "samples.png"
    for place in (files.images, files.arrays):
        generated = open_generated(place, model.spec)
        assert generated.labels is not None
        by_class = sorted(range(30), key=lambda i: (-(i % 2), i)) if place == files.images else range(30)
        assert generated.labels.tolist() == [i % 2 for i in by_class]
        images = torch.cat([torch.from_numpy(part.copy()) for part in generated.parts()])
        assert torch.equal(images, stored(folder)[list(by_class)])
    with pytest.raises(DpbenchError, match="is not empty; remove it, or choose another folder with --out"):
        model.export(30)
    run(force=True)
    assert not files.sheet.exists()


def test_a_place_without_room_for_a_folder_is_named(run: Run) -> None:
    model = dpbench.load(run().path)
    with pytest.raises(DpbenchError, match=r"cannot write (to )?/proc/x/y: "):
        model.export(2, Path("/proc/x/y"))


def test_images_of_an_unprotected_model_stay_beside_it(run: Run) -> None:
    folder = run(dataset="tiny:secret", epsilons=[float("inf")])
    with pytest.warns(UserWarning, match="no finite, verified ε protects this model, and tiny:secret is not declared"):
        model = dpbench.load(folder.path)
    assert torch.equal(model.sample(30), stored(folder, "sensitive/samples"))
    assert model.export(2).images == folder.path / "sensitive" / "drawn" / "images"


def test_the_plugin_that_a_trial_needs_is_named(run: Run) -> None:
    folder = run("mean", plugins=[MEAN])
    METHODS.unregister("mean")
    with pytest.raises(DpbenchError, match=f"method 'mean' is not known; it was run with --plugin {MEAN}"):
        dpbench.load(folder.path)
    assert torch.equal(dpbench.load(folder.path, plugins=[MEAN]).sample(30), stored(folder))
    METHODS.unregister("mean")
    edit(folder.path / "trial.json", request={})
    with pytest.raises(DpbenchError, match="give its file with --plugin, or install the package"):
        dpbench.load(folder.path)


@dataclass(frozen=True)
class WithRefiner:
    refiner: Choice = plugin_option("bicubic", REFINERS, "detail")


class Refined(fakes.FakeAlone):
    Config = WithRefiner
    presets: ClassVar[dict[str, dpbench.Preset]] = {}

    def sample(self, conditions, run):
        return torch.zeros(conditions.count, *self.spec.shape, dtype=torch.uint8)

    @classmethod
    def plan(cls, config, spec, request):
        return dpbench.Plan(dpbench.NoisySum(name="mean", clip=16.0))

    def fit(self, private, run):
        self.mean = private.noisy_sum("mean", lambda batch: batch.images.float() / 255)


def test_a_refiner_that_is_missing_is_named(run: Run) -> None:
    METHODS.register("refined")(Refined)
    REFINERS.register("own")(REFINERS.get("bicubic"))
    folder = run("refined[refiner.name=own]")
    REFINERS.unregister("own")
    with pytest.raises(DpbenchError, match=r"settings of method 'refined': unknown refiner 'own'.*--plugin"):
        dpbench.load(folder.path)


def test_another_version_of_the_method_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run()
    monkeypatch.setattr(fakes.FakeMean, "version", "2")
    with pytest.warns(UserWarning, match="model is of version 1 of 'fake', and this is version 2"):
        assert isinstance(dpbench.load(folder.path), StoredModel)


def test_what_has_no_model_or_a_damaged_one_is_refused(run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = run(references=("real",), epsilons=())
    with pytest.raises(DpbenchError, match="real images of tiny has no model"):
        dpbench.load(real.path)
    folder = run()
    monkeypatch.delattr(fakes.FakeMean, "load_state_dict")
    with pytest.raises(DpbenchError, match=r"does not suit the method 'fake' as it is now .* define load_state_dict"):
        dpbench.load(folder.path)
    weights = folder.path / "model.safetensors"
    weights.write_bytes(b"{}")
    with pytest.raises(DpbenchError, match=f"{weights} is damaged"):
        dpbench.load(folder.path)
    (folder.path / "checksums.json").unlink()  # earlier versions wrote none
    with pytest.raises(DpbenchError, match=f"model {weights} cannot be read"):
        dpbench.load(folder.path)
    weights.unlink()
    with pytest.raises(DpbenchError, match=f"model {weights} cannot be read"):
        dpbench.load(folder.path)


def test_a_detail_stage_of_an_earlier_version_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = {"trunk.0.weight": torch.zeros(8, 1, 3, 3), "up.0.weight": torch.zeros(1, 8, 3, 3)}  # without its sizes
    refiner, folder = Regression(RegressionConfig()), run()
    monkeypatch.setattr(fakes.FakeMean, "load_state_dict", lambda *_: refiner.load_state_dict(earlier))
    message = r"does not suit the method 'fake' as it is now \(KeyError: 'channels_and_scale'\); load it with the code"
    with pytest.raises(DpbenchError, match=message):
        dpbench.load(folder.path)


def test_an_error_of_the_method_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model = dpbench.load(run().path)
    monkeypatch.delattr(model.method, "mean")
    with pytest.raises(
        DpbenchError, match="sampling from fake ε=1 seed 0 failed: AttributeError: 'FakeMean' object has"
    ):
        model.sample(1)


class Peeks(fakes.FakeMean):
    def sample(self, conditions, run):
        fakes.Tiny("", run.cache).test()  # type: ignore[arg-type]


def test_no_test_split_opens_while_a_stored_model_samples(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model = dpbench.load(run().path)
    monkeypatch.setattr(fakes.FakeMean, "sample", Peeks.sample)
    with pytest.raises(PrivacyError, match="no test split opens"):
        model.sample(1)

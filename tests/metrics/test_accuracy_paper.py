from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from short_recipes import shorten

from dpbench import DATASETS
from dpbench.evaluation.evaluator import default_metrics, evaluate
from dpbench.metrics.accuracy_paper import PublishedAccuracy
from dpbench.metrics.classifiers import downstream, dpimagebench, duration, quick, recipe
from dpbench.metrics.classifiers.base import build_classifier
from dpbench.metrics.classifiers.labelled import LabelledImages

COLUMNS = ["accuracy_paper", *(f"accuracy_paper_{name}" for name in dpimagebench.NETWORKS)]


def short(how):
    return replace(how, steps=lambda n: 2, batch=2)


@pytest.fixture
def sets(make_images, noise):
    return [make_images(noise(5, size=28, seed=seed), torch.arange(5) % 2, 2) for seed in range(2)]


def test_the_published_classifiers_train_and_are_reported_one_by_one(sets, run, monkeypatch) -> None:
    monkeypatch.setattr(dpimagebench, "RECIPE", short(dpimagebench.RECIPE))
    monkeypatch.setattr(PublishedAccuracy, "expected_seconds", lambda *rest: 0.0)
    scores = evaluate(["accuracy-paper"], *sets, run)
    assert list(scores.values) == COLUMNS
    mean, *each = scores.values.values()
    assert mean == pytest.approx(sum(each) / 3)
    assert set(scores.ci95) == set(COLUMNS)
    assert scores.protocol["accuracy-paper"] == {"metric": "v1, DPImageBench's resnet+wrn+resnext"}
    assert scores.caveats == ("accuracy-paper: trained on 5 images; the published setting has 60000",)


def test_large_networks_use_the_precision_of_the_run_and_say_so(sets, run, monkeypatch) -> None:
    monkeypatch.setattr(dpimagebench, "RECIPE", short(dpimagebench.RECIPE))
    monkeypatch.setattr(dpimagebench, "NETWORKS", dict.fromkeys(dpimagebench.NETWORKS, quick.NETWORKS["cnn"]))
    monkeypatch.setattr(PublishedAccuracy, "expected_seconds", lambda *rest: 0.0)
    found = []
    loss = recipe.F.cross_entropy
    monkeypatch.setattr(recipe.F, "cross_entropy", lambda x, *y, **z: found.append(x.dtype) or loss(x, *y, **z))
    shorten(monkeypatch, 2)
    scores = evaluate(["accuracy-paper"], *sets, replace(run, precision="bf16"))
    assert "accuracy-paper: trained in bf16" in scores.caveats
    assert set(found) == {torch.bfloat16}
    found.clear()
    scores = evaluate(["accuracy"], *sets, replace(run, precision="bf16"))
    assert not scores.caveats
    assert set(found) == {torch.float32}


def test_another_recipe_and_larger_networks_for_cifar(sets, run, monkeypatch) -> None:
    trained = []
    cifar = (dpimagebench.CIFAR_NETWORKS, dpimagebench.CIFAR_RECIPE)
    monkeypatch.setattr(downstream, "downstream", lambda *rest: trained.append(rest[1:3]) or {})
    metric = PublishedAccuracy()
    for name in ("cifar10", "cifar100", "fashion-mnist"):
        spec = replace(sets[0].spec, name=name)
        with pytest.warns(UserWarning, match="60000"):
            metric.compute(type("Evaluation", (), {"spec": spec, "synthetic": sets[0]}))
    assert trained == [cifar, cifar, (dpimagebench.NETWORKS, dpimagebench.RECIPE)]


@pytest.mark.parametrize("how", [dpimagebench.RECIPE, dpimagebench.CIFAR_RECIPE])
def test_a_step_of_each_published_optimizer_moves_the_weights(how, make_images, noise, run) -> None:
    images = make_images(noise(4, size=28), torch.arange(4) % 2, 2)
    model = build_classifier(quick.NETWORKS["resnet"], images.spec, run.generator)
    before = model.head.weight.detach().clone()
    recipe.train(model, LabelledImages(images), short(how), run, "")
    assert (model.head.weight - before).abs().max() > 1e-4


def test_weeks_on_a_cpu_are_refused(sets, run, monkeypatch) -> None:
    monkeypatch.setattr(dpimagebench, "NETWORKS", dict.fromkeys(dpimagebench.NETWORKS, quick.NETWORKS["cnn"]))
    monkeypatch.setattr(dpimagebench, "RECIPE", replace(dpimagebench.RECIPE, steps=lambda n: n * 10**8))
    scores = evaluate(["accuracy-paper"], *sets, run)
    assert set(scores.missing) == set(COLUMNS)
    assert re.fullmatch(r"it would take about \d+ days on cpu; compute it on a GPU", scores.missing["accuracy_paper"])


@pytest.mark.parametrize(("classes", "reason"), [(0, "the dataset has no classes"), (1, "only one class")])
def test_without_two_classes_nothing_is_timed_and_the_reason_is_noted(make_images, noise, run, classes, reason) -> None:
    labels = torch.zeros(5, dtype=torch.int64) if classes else None
    images = [make_images(noise(5, size=28, seed=seed), labels, classes) for seed in range(2)]
    assert PublishedAccuracy.expected_seconds(images[0].spec, 60_000, "cpu") == 0
    assert reason in evaluate(["accuracy-paper"], *images, run).missing["accuracy_paper"]


def test_the_expected_time_grows_with_steps_and_classifiers(sets, monkeypatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(duration.time, "perf_counter", lambda: next(clock))
    how, one = replace(dpimagebench.RECIPE, steps=lambda n: 10 * n, batch=4, runs=3), quick.NETWORKS["cnn"]
    for classifiers in (1, 2):
        named = {str(number): one for number in range(classifiers)}
        seconds = duration.expected_seconds(named, how, sets[0].spec, 5, "cpu")
        assert seconds == classifiers * 1 * 4 / duration.PROBED * 50 * 3  # a step of PROBED images takes 1 s


def test_it_is_asked_for_by_name_and_stays_off_the_screen() -> None:
    assert "accuracy-paper" not in default_metrics()
    assert not PublishedAccuracy.headline


def test_the_datasets_with_settings_of_their_own_exist() -> None:
    assert set(dpimagebench.CIFAR) <= set(DATASETS.names())

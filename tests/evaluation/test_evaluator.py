from __future__ import annotations

import errno
import math
import re
import shutil
import warnings
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from short_recipes import shorten

from dpbench.core.errors import DataError, DpbenchError, MissingScore, RunError, UnknownName
from dpbench.core.files import write_atomic
from dpbench.core.metric import Column, Metric
from dpbench.core.registries import EXTRACTORS, METRICS
from dpbench.evaluation.caveats import Caveat, collect_caveats
from dpbench.evaluation.evaluator import default_metrics, evaluate, evaluate_real
from dpbench.evaluation.real_parts import part_and_rest
from dpbench.evaluation.scores import Scores
from dpbench.metrics.extractors.packets import WaveletPackets


@pytest.fixture
def metric(registries):
    """metric(compute, *columns) registers a metric called "toy" for one test."""

    def make(compute, *names: str, called: str = "toy", **attributes) -> None:
        columns = tuple(Column(name, "low", "") for name in names)
        body = {"columns": columns, "compute": lambda self, evaluation: compute(evaluation), **attributes}
        METRICS.register(called)(type("Toy", (Metric,), body))

    return make


def test_scores_say_what_they_depend_on(make_images, noise, run) -> None:
    scores = evaluate(["fwd", "scales"], make_images(noise(90)), make_images(noise(70, seed=1)), run)
    assert {"fwd", "fd_coarse", "fd_detail2", "fd_detail1"} <= set(scores.values)
    packets = "haar packets level 2, [0, 1]"
    used = {name: {"metric": METRICS.get(name).protocol, "extractors": packets} for name in ("fwd", "scales")}
    assert scores.protocol == {"n_samples": 90, "n_reference": 70, **used}
    assert set(scores.seconds) == {"fwd", "scales"}
    assert not scores.missing


def test_default_metrics_are_all_of_them() -> None:
    assert {"fwd", "scales", "accuracy"} <= set(default_metrics())


@pytest.mark.parametrize("size", [4, 8, 13, 15])
@pytest.mark.parametrize("channels", [1, 3])
def test_default_metrics_of_small_images_have_a_value_or_a_reason(
    make_images, noise, run, monkeypatch, channels: int, size: int
) -> None:
    shorten(monkeypatch, 2)
    synthetic, reference, train = (
        make_images(noise(12, channels, 16, seed)[..., :size, :size], torch.arange(12) % 2, 2) for seed in range(3)
    )
    scores = evaluate(default_metrics(), synthetic, reference, run, train)
    for column, value in scores.values.items():
        assert (value is not None and math.isfinite(value)) or scores.missing[column], column
    assert f"at least 16, not {size}" in scores.missing["accuracy"]
    assert (scores.values["label_fidelity"] is None) == (size < 8)


def test_features_are_extracted_once_for_all_metrics(evaluation, make_images, noise) -> None:
    synthetic, reference = make_images(noise(30)), make_images(noise(20, seed=1))
    shared = evaluation(synthetic, reference)
    first, again = (shared.features("wavelet-packet") for _ in range(2))
    assert [f.file for f in first] == [f.file for f in again]
    assert sorted(synthetic.asked) == list(range(30))
    assert sorted(reference.asked) == list(range(20))


def test_an_unknown_metric_is_an_error_before_anything_is_read(make_images, noise, run) -> None:
    synthetic = make_images(noise(10))
    with pytest.raises(UnknownName, match="did you mean fwd"):
        evaluate(["fwdd"], synthetic, make_images(noise(10, seed=1)), run)
    assert not synthetic.asked


def test_an_empty_set_is_an_error(make_images, noise, run) -> None:
    full, empty = noise(10), noise(10)[:0]
    with pytest.raises(DataError, match="the synthetic set has no images"):
        evaluate(["fwd"], make_images(empty), make_images(full), run)
    with pytest.raises(DataError, match="the reference set has no images"):
        evaluate(["fwd"], make_images(full), make_images(empty), run)


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28)])
def test_images_of_another_shape_are_an_error(make_images, noise, run, channels: int, size: int) -> None:
    with pytest.raises(DataError, match=f"{channels} x {size} x {size} .* 1 x 32 x 32"):
        evaluate(["fwd"], make_images(noise(10, channels, size)), make_images(noise(10)), run)


def test_a_batch_of_another_shape_than_declared_is_an_error(make_images, noise, run) -> None:
    synthetic = make_images(noise(10))
    synthetic.images = noise(10, size=28)
    with pytest.raises(DataError, match="10 x 1 x 28 x 28"):
        evaluate(["fwd"], synthetic, make_images(noise(10)), run)


def test_images_that_are_not_uint8_are_an_error(make_images, noise, run) -> None:
    images = noise(10).float() / 255
    with pytest.raises(DataError, match=r"torch.float32, not uint8 from 0 to 255; .* multiply by 255"):
        evaluate(["fwd"], make_images(images), make_images(noise(10)), run)
    images[3, 0, 5, 5] = math.nan
    with pytest.raises(DataError, match="not finite"):
        evaluate(["fwd"], make_images(images), make_images(noise(10)), run)


def test_the_reference_itself_cannot_be_scored(make_images, noise, run) -> None:
    images = make_images(noise(10))
    with pytest.raises(DataError, match="another split"):
        evaluate(["fwd"], images, images, run)


@pytest.mark.parametrize("wrong", [-1, 4])
def test_a_label_outside_the_classes_is_an_error(make_images, noise, run, wrong: int) -> None:
    labels = torch.arange(10) % 4
    synthetic = make_images(noise(10), torch.where(torch.arange(10) == 5, wrong, labels), 4)
    with pytest.raises(DataError, match="from 0 to 3"):
        evaluate(["fwd"], synthetic, make_images(noise(10, seed=1), labels, 4), run)


def test_one_image_has_no_frechet_distance(make_images, noise, run) -> None:
    scores = evaluate(["fwd"], make_images(noise(1)), make_images(noise(10, seed=1)), run)
    assert scores.values["fwd"] is None
    assert scores.missing["fwd"] == "a Fréchet distance needs at least 4 images, not 1"


def test_a_missing_score_names_its_reason_and_spares_the_others(make_images, noise, run, metric) -> None:
    def compute(evaluation):
        raise MissingScore("no weights")

    metric(compute, "a", "b")
    scores = evaluate(["toy", "fwd"], make_images(noise(90)), make_images(noise(90, seed=1)), run)
    assert scores.values["a"] is scores.values["b"] is None
    assert scores.missing == {"a": "no weights", "b": "no weights"}
    assert scores.values["fwd"] > 0


def allocate_on_the_cpu() -> None:
    torch.empty(2**60)


def allocate_on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee the documentation.")


def allocate_an_array() -> None:
    raise MemoryError


@pytest.mark.parametrize("allocate", [allocate_on_the_cpu, allocate_on_a_gpu, allocate_an_array])
def test_a_lack_of_memory_is_a_reason_and_spares_the_other_scores(make_images, noise, run, metric, allocate) -> None:
    metric(lambda evaluation: allocate(), "a", "b")
    scores = evaluate(["toy", "fwd"], make_images(noise(90)), make_images(noise(90, seed=1)), run)
    reason = "out of memory on cpu; `dpbench evaluate --all` tries again"
    assert scores.missing == {"a": reason, "b": reason}
    assert scores.values["fwd"] > 0


def test_a_full_disk_is_a_reason_and_spares_the_other_scores(make_images, noise, run, metric, monkeypatch) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    metric(lambda evaluation: {"a": 1.0}, "a")
    scores = evaluate(["fwd", "toy"], make_images(noise(90)), make_images(noise(90, seed=1)), run)
    reason = scores.missing["fwd"]
    assert re.match(r"cannot write .*: its 368.6 kB do not fit into the 100.0 kB that are free; .* TMPDIR", reason)
    assert scores.values["a"] == 1


@pytest.mark.parametrize(("code", "is_reason"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, False)])
def test_a_disk_that_fills_up_is_a_reason_but_no_other_error_of_it(
    make_images, noise, run, metric, tmp_path, code: int, is_reason: bool
) -> None:
    def fail(path) -> None:
        raise OSError(code, "an error")

    metric(lambda evaluation: write_atomic(tmp_path / "a", fail), "a")
    sets = make_images(noise(5)), make_images(noise(5, seed=1))
    with nullcontext() if is_reason else pytest.raises(RunError, match="an error"):
        assert "an error; choose larger folders" in evaluate(["toy"], *sets, run).missing["a"]


def test_another_error_of_a_metric_is_not_a_reason(make_images, noise, run, metric) -> None:
    def compute(evaluation):
        raise RuntimeError("shapes differ")

    metric(compute, "a")
    with pytest.raises(RuntimeError, match="shapes differ"):
        evaluate(["toy"], make_images(noise(5)), make_images(noise(5, seed=1)), run)


def test_a_value_that_is_not_finite_is_missing(make_images, noise, run, metric) -> None:
    metric(lambda evaluation: {"a": math.nan, "b": np.float64(2)}, "a", "b")
    scores = evaluate(["toy"], make_images(noise(5)), make_images(noise(5, seed=1)), run)
    assert scores.values == {"a": None, "b": 2.0}
    assert scores.missing == {"a": "the value is nan"}


def test_columns_are_those_declared(make_images, noise, run, metric) -> None:
    metric(lambda evaluation: {"b": 1.0}, "a")
    with pytest.raises(DpbenchError, match="declares a but computes b"):
        evaluate(["toy"], make_images(noise(5)), make_images(noise(5, seed=1)), run)


def test_caveats_and_protocol_of_a_metric_reach_the_row(make_images, noise, run, metric) -> None:
    def compute(evaluation):
        warnings.warn("take care", Caveat, stacklevel=1)
        return {"a": 1.0}

    metric(compute, "a", protocol="k=5")
    scores = evaluate(["toy"], make_images(noise(5)), make_images(noise(5, seed=1)), run)
    assert scores.caveats == ("toy: take care",)
    assert scores.protocol["toy"] == {"metric": "k=5"}


def test_collecting_caveats_lets_other_warnings_pass() -> None:
    def both() -> list[str]:
        with collect_caveats() as caveats:
            warnings.warn("old", DeprecationWarning, stacklevel=1)
            warnings.warn("take care", Caveat, stacklevel=1)
        return caveats

    with pytest.warns(DeprecationWarning, match="old"):
        caveats = both()
    assert caveats == ["take care"]


def test_a_metric_draws_its_own_random_numbers(make_images, noise, run, metric) -> None:
    metric(lambda evaluation: {"a": float(torch.rand((), generator=evaluation.run.generator))}, "a")
    metric(lambda evaluation: {"b": float(torch.rand((), generator=evaluation.run.generator))}, "b", called="other")
    sets = make_images(noise(5)), make_images(noise(5, seed=1))
    both, alone = evaluate(["other", "toy"], *sets, run).values, evaluate(["toy"], *sets, run).values
    assert both["a"] == alone["a"] != both["b"]


def test_scores_are_extended_by_later_ones() -> None:
    old = Scores({"a": 1.0, "b": None}, {"b": "no weights"}, {"n_samples": 5}, ("a",), {"x": 1.0})
    new = Scores({"b": 2.0, "c": None}, {"c": "no classes"}, {"k": 3}, ("a", "b"), {"y": 2.0})
    assert old | new == Scores(
        {"a": 1.0, "b": 2.0, "c": None},
        {"c": "no classes"},
        {"n_samples": 5, "k": 3},
        ("a", "b"),
        {"x": 1.0, "y": 2.0},
    )


def counted(scores: Scores) -> list[str]:
    """The caveats on how many real images are scored."""
    return [caveat for caveat in scores.caveats if "in place of" in caveat]


def test_real_row_compares_as_many_images_of_train_with_all_of_test(monkeypatch, make_images, noise, run) -> None:
    shorten(monkeypatch, 5)
    train = make_images(noise(90), torch.arange(90) % 4, 4)
    test = make_images(noise(71, seed=1), torch.arange(71) % 4, 4)
    scores = evaluate_real(["accuracy", "fwd"], train, test, 40, run)
    part, rest = part_and_rest(train, 40)
    assert scores.values == evaluate(["accuracy", "fwd"], part, test, run, rest).values
    assert (scores.protocol["n_samples"], scores.protocol["n_reference"]) == (40, 71)
    assert not counted(scores)


def test_real_row_has_the_scores_of_a_perfect_generator(make_images, noise, run) -> None:
    train, test, *fresh = (make_images(part) for part in noise(1000, size=16).split([250, 150, *[100] * 6]))
    real = evaluate_real(["fwd"], train, test, 100, run).values["fwd"]
    found = [evaluate(["fwd"], samples, test, run).values["fwd"] for samples in fresh]
    mean, deviation = np.mean(found), np.std(found, ddof=1)
    assert real == pytest.approx(mean, abs=3 * deviation)
    halves = evaluate(["fwd"], *part_and_rest(test, 100), run).values["fwd"]
    assert halves > mean + 3 * deviation  # the bias of too few images is seen


def test_real_row_of_undeclared_data_compares_test_with_the_rest_of_it(make_images, noise, run) -> None:
    train, test = make_images(noise(90)), make_images(noise(71, seed=1))
    test.spec = replace(test.spec, public_benchmark=False)
    scores = evaluate_real(["fwd"], train, test, 30, run)
    assert scores.values == evaluate(["fwd"], *part_and_rest(test, 30), run).values
    assert counted(scores) == ["30 real images in place of 30 samples: a part of test, compared with the rest of it"]
    assert not train.asked


@pytest.mark.parametrize("public", [True, False])
def test_real_row_scores_half_of_a_split_at_most_and_says_so(make_images, noise, run, public: bool) -> None:
    train, test = make_images(noise(91)), make_images(noise(91, seed=1))
    test.spec = replace(test.spec, public_benchmark=public)
    scores = evaluate_real(["fwd"], train, test, 60, run)
    assert (scores.protocol["n_samples"], scores.protocol["n_reference"]) == (45, 91 if public else 46)
    (caveat,) = counted(scores)
    assert caveat.startswith("45 real images in place of 60 samples: ")


def test_metrics_of_the_real_row_that_read_train_see_it_without_the_scored_images(
    make_images, noise, run, metric
) -> None:
    def compute(evaluation):
        seen, scored = (
            {image.numpy().tobytes() for image in images.batch(range(len(images))).images}
            for images in (evaluation.train, evaluation.synthetic)
        )
        return {"a": len(seen & scored), "b": len(seen)}

    metric(compute, "a", "b", reads_train=True)
    scores = evaluate_real(["toy"], make_images(noise(90)), make_images(noise(71, seed=1)), 40, run)
    assert scores.values == {"a": 0, "b": 50}


@pytest.mark.parametrize("ask", [lambda e: e.train, lambda e: e.train_features("wavelet-packet")])
def test_a_metric_that_does_not_declare_it_is_refused_train(make_images, noise, run, metric, ask) -> None:
    train, test = make_images(noise(40)), make_images(noise(40, seed=1))

    def compute(evaluation):
        ask(evaluation)
        return {"a": 1.0}

    metric(compute, "a")
    with pytest.raises(DpbenchError, match=r"metric 'toy' uses the train split but does not declare reads_train"):
        evaluate(["toy"], make_images(noise(40, seed=2)), test, run, train)
    assert not train.asked
    metric(compute, "a", called="declared", reads_train=True)
    assert evaluate(["declared"], make_images(noise(40, seed=2)), test, run, train).values == {"a": 1.0}


def test_an_extractor_trained_on_train_is_for_metrics_that_declare_it(make_images, noise, run, metric, registries):
    class OnTrain(WaveletPackets):
        reads_train = True

    EXTRACTORS.register("on-train")(OnTrain)
    metric(lambda e: {"a": len(e.features("on-train"))}, "a", reads_train=True, called="first")
    metric(lambda e: {"b": len(e.features("on-train"))}, "b")
    sets = make_images(noise(40)), make_images(noise(40, seed=1)), run, make_images(noise(40, seed=2))
    assert evaluate(["first"], *sets).values == {"a": 2}
    for metrics in (["toy"], ["first", "toy"]):  # also where it is loaded already
        with pytest.raises(DpbenchError, match="metric 'toy' uses the extractor 'on-train', which was trained on"):
            evaluate(metrics, *sets)


def test_train_that_is_the_reference_is_refused(make_images, noise, run, metric) -> None:
    metric(lambda evaluation: {"a": len(evaluation.train)}, "a", reads_train=True)
    test = make_images(noise(40, seed=1))
    with pytest.raises(DataError, match="the train images are the reference images"):
        evaluate(["toy"], make_images(noise(40)), test, run, test)


def test_a_metric_that_is_computed_again_replaces_all_that_was_said_of_it() -> None:
    old = Scores(
        {"a": 1.0, "b": 2.0}, {}, {"toy": "v1"}, ("toy: few", "other: odd", "general"), {"toy": 1.0}, {"a": 0.1}
    )
    new = Scores({"a": None}, {"a": "gone"}, {"toy": "v2"}, ("toy: many",), {"toy": 2.0})
    both = old | new
    assert (both.values, both.missing, both.ci95) == ({"a": None, "b": 2.0}, {"a": "gone"}, {})
    assert both.protocol == {"toy": "v2"}
    assert both.caveats == ("other: odd", "general", "toy: many")

"""Private gradients of presets, and their share of the published number."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeMean

from dpbench.benchmark.reporting.tiers import millions, percent, tiers
from dpbench.core.method import Preset
from dpbench.core.registries import METHODS
from dpbench.core.specs import DatasetSpec
from dpbench.methods.wavelet import Wavelet

MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)


def test_published_gradients_are_records_times_views_times_steps() -> None:
    small, gpu, paper = tiers("dpdm", "mnist", MNIST)
    assert paper.gradients == 4096 * 4395 * 32  # 300 epochs of MNIST, 32 noise draws each
    assert paper.gradients == pytest.approx(300 * 60_000 * 32, rel=1e-3)
    assert (small.preset, gpu.preset, paper.preset) == ("small/mnist", "gpu", "paper")
    c = METHODS.get("dpdm").presets["gpu"].settings
    assert gpu.gradients == c["batch"] * c["steps"] * c["views"]
    assert gpu.share == gpu.gradients / paper.gradients
    assert str(gpu) == f"{millions(gpu.gradients)} million, {percent(gpu.share)} of 576 million"
    assert str(paper) == "576 million"


def test_a_preset_is_the_one_refined_for_the_dataset() -> None:
    settings = Wavelet.presets["small/shapes"].settings
    assert tiers("wavelet", "shapes", MNIST)[0].gradients == settings["batch"] * settings["steps"]
    assert tiers("wavelet", "cifar10", MNIST)[0].preset == "small"


def test_a_method_without_gradients_says_what_it_releases(tiny: Path) -> None:
    assert {str(tier) for tier in tiers("dp-merf", "mnist", MNIST)} == {
        "one release over all records; no private gradients"
    }


@pytest.mark.parametrize(
    ("presets", "said"),
    [
        ({"small": {"batch": 10}}, ["2e-05 million"]),
        ({"small": {"batch": 10}, "paper": {"batch": 40}}, ["2e-05 million, 25% of 8e-05 million", "8e-05 million"]),
        ({"small": {"batch": 10}, "paper": {"levels": 6}}, ["2e-05 million", "does not fit: 6 levels do not divide"]),
        ({"small": {}, "paper": {"batch": 5}}, ["one release over all records; no private gradients", "1e-05 million"]),
    ],
    ids=["alone", "published", "unsuitable", "none"],
)
def test_presets_of_a_plugin(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, presets: dict[str, dict[str, int]], said: list[str]
) -> None:
    monkeypatch.setattr(FakeMean, "presets", {name: Preset(settings) for name, settings in presets.items()})
    found = tiers("fake", "tiny", MNIST)
    assert [str(tier)[: len(text)] for tier, text in zip(found, said, strict=True)] == said


def test_numbers_are_short() -> None:
    assert [millions(n) for n in (288_000, 576_061_440, 4_096_000)] == ["0.288", "576", "4.1"]
    assert [percent(s) for s in (0.000444, 0.0703, 0.625, 3.0)] == ["0.044%", "7%", "62%", "300%"]

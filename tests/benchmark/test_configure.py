"""Configuration of methods from names and settings: precedence, equality and variant names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import pytest

from dpbench import Preset
from dpbench.benchmark.configure import Configured, configure
from dpbench.benchmark.experiment import requests_of
from dpbench.core.errors import ConfigError, UnknownName


def configured(*methods: str, preset: str = "small", dataset: str = "tiny", **settings: Any) -> list[Configured]:
    return configure(methods, dataset, preset, {key.replace("__", ":"): value for key, value in settings.items()})


def spreads(*methods: str, **options: Any) -> list[float]:
    return [m.config.spread for m in configured(*methods, **options)]


def test_precedence_of_bracket_method_and_shared_settings(tiny: Path) -> None:
    assert spreads("fake", "fake[spread=3]", "alone", spread="1", fake__spread="2") == [2, 3, 1]


def test_variant_name_has_the_differences_from_the_preset(tiny: Path) -> None:
    methods = configured("fake", "fake[levels=2]", "fake[ levels = 3 ,spread=5]", batch="7")
    assert [m.variant for m in methods] == ["batch=7", "batch=7,levels=2", "batch=7,levels=3"]
    assert [m.title for m in methods] == [f"fake [{m.variant}]" for m in methods]
    assert {m.tuning for m in methods} == {"user settings"}
    (plain,) = configured("fake[spread=30]", preset="loud")
    assert (plain.variant, plain.tuning) == ("", "hold-out of tiny train")


def test_variant_name_does_not_depend_on_setting_order(tiny: Path) -> None:
    (first,), (second,) = configured("fake[batch=7,levels=2]"), configured("fake[levels=2,batch=07]")
    assert first == second


def test_equal_variants_are_merged(tiny: Path) -> None:
    methods = configured("fake", "fake[spread=5]", "fake[spread=6]", "fake[spread=6.0]", "fake", "alone")
    assert [m.title for m in methods] == ["fake", "fake [spread=6.0]", "alone"]


@pytest.mark.parametrize(("dataset", "spread"), [("tiny", 30), ("tiny:plain", 30), ("tiny:0.5", 40), ("other", 20)])
def test_preset_is_refined_per_dataset_or_plugin(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, spread: float
) -> None:
    exact = {"loud/tiny:0.5": Preset({"spread": 40.0})}
    monkeypatch.setattr(fakes.FakeMean, "presets", fakes.FakeMean.presets | exact)
    assert spreads("fake", preset="loud", dataset=dataset) == [spread]


def test_other_refiner_does_not_inherit_preset_settings() -> None:
    (wavelet,) = configured("wavelet[refiner.name=bicubic]", dataset="shapes")
    assert wavelet.variant == "refiner.name=bicubic"
    assert wavelet.config.refiner.name == "bicubic"
    (same,) = configured("wavelet[refiner.name=regression]", dataset="shapes")
    assert (same.variant, same.config.refiner.config.steps) == ("", 400)


def test_hint_to_prefix_the_method_is_for_shared_settings_only(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"method 'fake': unknown setting 'spred'; did you mean spread\?$"):
        configured("fake[spred=1]", "alone")
    with pytest.raises(ConfigError, match="write fake:key=value"):
        configured("fake", "alone", spred="1")
    with pytest.raises(UnknownName, match="unknown method 'fak'"):
        configured("fak[spread=1]")


def test_a_table_of_one_methods_settings_is_answered_with_the_line_to_write(tiny: Path) -> None:
    (request,) = requests_of({"methods": ["fake", "alone"], "settings": {"fake": {"batch": 20}}}, {}, "file.toml")
    with pytest.raises(ConfigError, match=r'write fake:batch=20 .*file "fake:batch" = 20, below \[settings\]'):
        configure(request.methods, "tiny", "small", request.settings)

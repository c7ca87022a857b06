"""Code hashes change with the code of the plugins that a configuration chooses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from edited_files import append

from dpbench.core import closure
from dpbench.core.closure import code_of
from dpbench.core.config import build
from dpbench.core.registries import EXTRACTORS, GENERATORS, METHODS, REFINERS

METHOD = """
from dataclasses import dataclass
from dpbench import METHODS, REFINERS, Method, option, plugin_option
from dpbench.core.config import Choice

@dataclass(frozen=True)
class Config:
    steps: int = option(1, "steps")
    refiner: Choice = plugin_option("bicubic", REFINERS, "detail stage")

@METHODS.register("m")
class M(Method):
    Config = Config
    def plan(self, request): ...
    def fit(self, private, run): ...
    def sample(self, conditions, run): ...
"""

REFINER = """
from dpbench import REFINERS, Refiner

@REFINERS.register("{name}")
class R(Refiner):
    def refine(self, coarse, size, run): return coarse
"""


def test_configured_plugins_change_the_hash(plugin: Callable[..., ModuleType], tmp_path: Path) -> None:
    method = plugin(m=METHOD).M
    plugin(r=REFINER.format(name="r"))
    bicubic, chosen = build(method.Config, {}), build(method.Config, {"refiner.name": "r"})
    before = code_of(method, bicubic), code_of(method, chosen)
    assert before[0] != before[1] == code_of(method, build(method.Config, {"refiner.name": "r", "steps": 2}))
    append(tmp_path / "plugins" / "r.py", "x = 1\n")
    assert code_of(method, bicubic) == before[0]
    assert code_of(method, chosen) != before[1]


NAMING = """
from dataclasses import dataclass
from dpbench import EXTRACTORS, option

@dataclass(frozen=True)
class Config:
    embedding: str = option("pixels", "pixels, or an extractor", named=EXTRACTORS)
"""

EXTRACTOR = """
from dpbench import EXTRACTORS, Extractor

@EXTRACTORS.register("mine")
class Mine(Extractor):
    description = "nothing"
    def __call__(self, images): return images
"""


def test_a_plugin_that_a_setting_names_changes_the_hash(plugin: Callable[..., ModuleType], tmp_path: Path) -> None:
    config = plugin(naming=NAMING).Config
    plugin(mine=EXTRACTOR)
    pixels, mine = build(config, {}), build(config, {"embedding": "mine"})
    before = code_of(config, pixels), code_of(config, mine)
    append(tmp_path / "plugins" / "mine.py", "x = 1\n")
    assert code_of(config, pixels) == before[0]
    assert code_of(config, mine) != before[1] != before[0]
    assert EXTRACTORS.get("inception") in closure.chosen_by(build(METHODS.get("pe").Config, {"embedding": "inception"}))


def test_plugins_that_a_chosen_plugin_chooses_count_too() -> None:
    config = build(METHODS.get("pe").Config, {"generator.name": "composite", "generator.second.name": "img2img"})
    chosen = {*closure.chosen_by(config)}
    assert {GENERATORS.get(name) for name in ("composite", "glyphs", "img2img")} <= chosen
    assert GENERATORS.get("img2img").Config in chosen
    assert GENERATORS.get("diffusion") not in chosen


def test_selected_refiner_changes_the_wavelet_hash(tree: Path) -> None:
    wavelet = METHODS.get("wavelet")
    configs = {name: build(wavelet.Config, {"refiner.name": name}) for name in REFINERS.names()}
    before = {name: code_of(wavelet, config) for name, config in configs.items()}
    append(tree / "refiners" / "residual.py", "EDITED = 1\n")
    after = {name: code_of(wavelet, config) for name, config in configs.items()}
    assert {name for name in before if before[name] != after[name]} == {"residual"}

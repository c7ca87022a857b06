"""Public training in stages: an entry of the public cache that was computed with other weights is not used."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
from safetensors.torch import load_file, save_file

from dpbench.contracts.methods import MethodCase
from dpbench.contracts.small_sets import bars_spec
from dpbench.core.registries import METHODS

STAGES = {
    "wavelet": ("wavelet-tokenizer", {"wavelet-coarse", "regression"}),
    "dp-ar": ("image-tokenizer", {"token-model"}),
    "dp-ldm": ("autoencoder", {"latent-diffusion"}),
    "dp-lora": ("autoencoder", {"latent-diffusion"}),
}


def _entries(folder: Path) -> dict[str, Path]:
    """Files of the public cache by stem, "<name>-<key>"."""
    return {path.stem: path for path in folder.rglob("*.safetensors")}


@pytest.mark.parametrize("name", STAGES)
def test_a_first_stage_that_was_trained_again_is_not_paired_with_the_old_second_one(name, tmp_path):
    first, later = STAGES[name]
    case = MethodCase(METHODS, name, tmp_path, tiny.entry(tiny.METHODS, name))
    case.new_trial(bars_spec(), fit=False)
    before = _entries(tmp_path)
    (stem,) = (stem for stem in before if stem.startswith(first))
    other = {
        key: value * 1.01 if value.is_floating_point() else value for key, value in load_file(before[stem]).items()
    }
    save_file(other, before[stem])
    case.new_trial(bars_spec(), fit=False, attempt="again")
    assert {stem.rpartition("-")[0] for stem in _entries(tmp_path).keys() - before.keys()} == later

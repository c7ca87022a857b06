"""Marks of the rows of the wavelet method's controls in a complete run."""

import pandas as pd
import pytest

import dpbench
from dpbench.core.errors import DpbenchError

SETTINGS = {
    "levels": 1, "codes": 8, "detail_codes": 8, "code_dim": 4, "tokenizer_dim": 8, "tokenizer_heads": 1,
    "tokenizer_depth": 1, "tokenizer_steps": 3, "tokenizer_batch": 8, "dim": 8, "depth": 1, "heads": 1,
    "public_steps": 3, "public_batch": 8, "batch": 50, "steps": 2,
}  # fmt: skip
METHODS = [
    "wavelet",
    "wavelet[coarse=real]",
    "wavelet[tokens=all,order=raster]",
    "wavelet[trainable=lora]",
]


def _run(out, methods, dataset="tiny", references=(), **options) -> pd.DataFrame:
    settings = SETTINGS | {"refiner.name": "bicubic"}
    return dpbench.run(
        methods, dataset, [5.0], public="tiny-public", settings=settings, samples=20, metrics=["brightness"], out=out,
        references=references, device="cpu", **options,
    )  # fmt: skip


def test_control_rows_have_the_right_marks(tiny):
    rows = _run(tiny, METHODS, references=["public"])
    rows = rows.set_index(["variant", "reference"])
    names = sorted({variant for variant, _ in rows.index})
    plain, real, every, lora = (
        next(name for name in names if wanted in name) if wanted else min(names, key=len)
        for wanted in ("", "coarse=real", "tokens=all", "trainable=lora")
    )
    assert rows.loc[(real, ""), "accounting"] == "unverified"
    assert "real images" in " ".join(rows.loc[(real, ""), "notes"])
    assert rows.loc[(real, ""), ["epsilon_spent", "epsilon_rdp"]].isna().all()
    assert rows.loc[(real, ""), "parameters_private"] == 0
    for variant in (plain, every, lora):
        assert rows.loc[(variant, ""), "accounting"] == "verified"
        assert 4.97 < rows.loc[(variant, ""), "epsilon_spent"] <= 5
    assert rows.loc[(lora, ""), "parameters_private"] < rows.loc[(plain, ""), "parameters_private"]
    assert rows.loc[(every, ""), "parameters_private"] > rows.loc[(plain, ""), "parameters_private"]
    public = rows.xs("public", level="reference")
    assert (public["accounting"] == "verified").all()
    assert (public["parameters_private"] == 0).all()
    assert (rows.loc[(plain, ""), ["refiner_seconds_prepare", "refiner_seconds_per_image"]] >= 0).all()
    assert rows.loc[(plain, ""), "refiner_parameters"] == 0
    assert rows.loc[(every, ""), ["refiner_seconds_per_image", "refiner_parameters"]].isna().all()
    assert (tiny / "leaderboard.csv").exists()


def test_real_tokens_of_undeclared_data_write_no_files(tiny):
    with pytest.raises(DpbenchError, match="public benchmarks only"):
        _run(tiny, METHODS[1], "tiny:secret")
    assert not list(tiny.glob("*/*/*/trial.json"))

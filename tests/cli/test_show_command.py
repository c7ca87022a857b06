"""`dpbench show`."""

from __future__ import annotations

import re
from pathlib import Path

import events
from calling import call


def test_show_explains_a_method_and_its_settings(tiny: Path) -> None:
    text = call("show", "fake").stdout
    for part in (
        "A longer explanation.",
        "images",
        "nobody (2020)",
        "spread",
        "5.0",
        "pixel noise of the",
        "loud",
    ):
        assert part in text
    assert "hold-out of tiny train" in text


def test_show_explains_a_refiner_and_its_settings(tiny: Path) -> None:
    text = call("show", "residual").stdout
    for part in ("residual: Diffusion of the residual", "arXiv 2501.13349", "sampling_steps", "network evaluations"):
        assert part in text


def test_show_explains_a_metric_and_its_columns(tiny: Path) -> None:
    text = call("show", "classy").stdout
    for part in ("classy: Share of labels that are 1", "share of labels", "high"):
        assert part in text
    assert "haar packets" not in text
    assert "only on request: --metrics rare\n" in call("show", "rare").stdout
    theirs = call("show", "dpimagebench-fid").stdout
    assert "only on request: --metrics dpimagebench-fid or --protocol dpimagebench" in theirs
    assert re.search(r"lpips +neither ", call("show", "lpips").stdout)


def settings(*arguments: str) -> dict[str, list[str]]:
    """Setting -> value, where it is from if that is shown, meaning."""
    text = call("show", *arguments).stdout
    table = text[text.index("settings on") :].partition("\npresets")[0]
    return {
        row[0]: row[1:] for row in (re.split(r" {2,}", line.strip()) for line in table.splitlines()) if len(row) > 2
    }


def test_show_has_the_settings_that_would_run_and_where_they_come_from() -> None:
    found = settings("wavelet", "--dataset", "mnist", "--set", "batch=96", "--set", "refiner.name=residual")
    assert found["codes"][:2] == ["256", "small/mnist"]
    assert "default 512" in found["codes"][2]
    assert found["batch"][:2] == ["96", "--set"]
    assert found["refiner.name"][:2] == ["residual", "--set"]
    assert found["clip"][0] == "1.0"
    assert len(found["clip"]) == 2
    assert "refiner.sampling_steps" in found
    assert settings("wavelet", "--dataset", "cifar10")["codes"][0] == "512"
    assert settings("wavelet", "--preset", "paper")["codes"][:2] == ["8192", "paper"]
    assert settings("wavelet[steps=auto]")["steps"][:2] == ["auto", "--set"]


def test_values_are_shown_as_they_can_be_typed() -> None:
    assert settings("dp-merf", "--set", "bandwidths=[0.1,0.2]")["bandwidths"][0] == "[0.1,0.2]"
    assert "small/mnist  bandwidths=[0.1,0.025]" in re.sub(" {2,}", "  ", call("show", "dp-merf").stdout)


def test_show_says_what_share_of_the_published_training_a_preset_is(tiny: Path) -> None:
    text = call("show", "dpdm", "--dataset", "mnist").stdout
    shares = re.findall(
        r"^ (small/mnist|gpu|paper) +([\d.]+) million(?:, ([\d.]+)% of 576 million)?", text, re.MULTILINE
    )
    assert [preset for preset, _, share in shares if share] == ["small/mnist", "gpu"]
    assert shares[-1] == ("paper", "576", "")
    assert "one release over all records; no private gradients" in call("show", "dp-merf").stdout
    assert "private gradients on folder: unknown: " in call("show", "dpdm", "--dataset", "folder").stdout


def test_show_refuses_settings_that_would_not_run(tiny: Path) -> None:
    assert "did you mean spread?" in call("show", "fake", "--set", "spred=1").stderr
    assert "unknown preset" in call("show", "fake", "--preset", "huge").stderr


def test_show_explains_datasets(tiny: Path) -> None:
    text = call("show", "mnist", "--resolution", "28").stdout
    assert "images: 60,000 train and 10,000 test, 1×28×28" in text
    assert "classes: 10: 0, 1, 2" in text
    assert "public source" in call("show", "textures:0.5").stdout
    assert "--public-benchmark" in call("show", "tiny:secret").stdout
    missing = call("show", "folder")
    assert missing.exit_code == 0
    assert "images: unknown: dataset 'folder' needs a path" in missing.stdout
    assert events.EVENTS == []


def test_show_explains_extractors_also_those_named_like_a_metric() -> None:
    assert "float32 [b, 2048]" in call("show", "inception").stdout
    text = call("show", "texture").stdout
    assert "texture: Distance of mean wavelet texture statistics." in text
    assert "texture: Statistics of wavelet sub-bands." in text


def test_show_calibrates_a_plan_without_opening_the_data(tiny: Path) -> None:
    result = call("show", "fake", "--dataset", "tiny", "--eps", "1,2", "--delta", "1e-6", "--set", "batch=20")
    assert result.exit_code == 0
    for part in ("mean", "NoisySum", "steps", "DPSGD", "0.1", "by PLD", "by RDP", "at δ = 1e-05", "μ = ", "ε = 2"):
        assert part in result.stdout
    assert events.EVENTS == []


def test_show_calibrates_the_plan_of_a_variant(tiny: Path) -> None:
    result = call("show", "fake[batch=20]", "--dataset", "tiny", "--eps", "1", "--delta", "1e-6")
    assert result.exit_code == 0
    for part in ("fake: The noisy mean", "plan of fake [batch=20] on tiny", "DPSGD"):
        assert part in result.stdout


def test_show_rejects_unknown_methods(tiny: Path) -> None:
    result = call("show", "fak")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: unknown name 'fak'; did you mean fake?\n",
    )

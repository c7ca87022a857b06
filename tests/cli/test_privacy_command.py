"""`dpbench privacy`: conversions, prices and proposals."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import events
import pytest
from calling import call

from dpbench.refiners.regression import Regression

MNIST = ["--records", "60000", "--batch", "4096", "--delta", "1e-5"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["--eps", "1", "--steps", "2000"], {"noise": 11.45, "ε": 0.999, "ε at 1e-05": 0.999, "μ": 0.2672}),
        (["--noise", "11.45", "--steps", "2000"], {"noise": 11.45, "ε": 1.0}),
        (["--noise", "11.45", "--eps", "1"], {"steps": 2000, "ε": 1.0}),
        (["--noise", "1.694", "--steps", "2000"], {"ε": 10.0}),
    ],
)
def test_privacy_computes_the_missing_one_of_noise_steps_and_epsilon(given: list[str], found: dict[str, float]) -> None:
    result = call("privacy", *MNIST, *given)
    assert result.exit_code == 0
    header, _, line = [line for line in result.stdout.splitlines() if line.strip()]
    cells = dict(zip(re.split(r" {2,}", header.strip()), line.split(), strict=True))
    assert {name: float(cells[name]) for name in found} == pytest.approx(found, rel=4e-3)


def test_privacy_accepts_a_rate_and_several_budgets() -> None:
    result = call("privacy", "--rate", "0.01", "--delta", "1e-6", "--steps", "20", "--eps", "0.5,2")
    assert result.stdout.count("0.01 ") == 2
    assert call("privacy", "--rate", "0.01", "--records", "1000", "--steps", "20", "--noise", "2").exit_code == 0


def test_privacy_lists_every_mechanism_of_a_method(tiny: Path) -> None:
    plan = ["privacy", "fake", "--dataset", "tiny", "--delta", "1e-6", "--set", "batch=20"]
    calibrated = call(*plan, "--eps", "1,2").stdout
    for part in ("mean", "NoisySum", "steps", "DPSGD", "ε alone", "ε = 1,", "ε = 2,", "by PLD"):
        assert part in calibrated
    (noise,) = re.findall(r"mean +NoisySum +16 +1 +1 +([\d.]+)", calibrated)[:1]
    priced = call(*plan, "--noise", noise).stdout
    assert float(re.search(r"whole plan: ([\d.]+)", priced)[1]) == pytest.approx(1.0, rel=0.01)
    assert events.EVENTS == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --batch with --records, or --rate"),
        (["--batch", "10", "--eps", "1", "--steps", "5"], "--batch needs --records"),
        (["--batch", "10", "--rate", "0.1"], "give either --batch with --records, or --rate"),
        (["--batch", "10", "--records", "5"], "an expected batch of 10 cannot be drawn from 5 records"),
        (["--rate", "0.1", "--eps", "1", "--steps", "5"], "give --delta, or --records"),
        ([*MNIST, "--eps", "1"], "give two of --eps, --noise and --steps"),
        ([*MNIST, "--eps", "1", "--noise", "1", "--steps", "5"], "give two of --eps, --noise and --steps"),
        ([*MNIST, "--eps", "1", "--steps", "0"], "needs at least one release"),
        ([*MNIST, "--eps", "0.01", "--noise", "0.3"], "one release costs ε"),
        (["--rate", "1.5", "--delta", "1e-6", "--noise", "1", "--steps", "5"], "sampling rate must lie in (0, 1]"),
        (["--eps", "1", "--propose"], "--propose needs a method"),
        (["fake", "--dataset", "tiny"], "give either --eps, to calibrate the plan of fake, or --noise"),
        (["fake", "--dataset", "tiny", "--eps", "1", "--noise", "1"], "give either --eps"),
        (["fake", "--eps", "1", "--steps", "5"], "for fake, use settings: --set steps=200"),
        (["fake", "--dataset", "tiny", "--eps", "1", "--compute", "256"], "also give --propose"),
        ([*MNIST, "--eps", "1", "--steps", "5", "--compute", "256"], "also give --propose"),
        (["fake", "--dataset", "tiny", "--propose"], "--propose needs --eps"),
        (["fake", "--dataset", "tiny", "--propose", "--eps", "inf"], "a proposal needs a finite ε"),
        (["fake", "--dataset", "tiny", "--public", "tiny-public", "--propose", "--eps", "1"], "this plan has none"),
        (["fak", "--eps", "1"], "did you mean fake?"),
    ],
)
def test_invalid_privacy_request_gives_a_one_line_error(tiny: Path, arguments: list[str], message: str) -> None:
    result = call("privacy", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert "fit" not in events.EVENTS


def test_privacy_proposal_prints_settings(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Regression, "prepare", lambda *_: pytest.fail("prepared a refiner"))
    settings = {"levels": 1, "codes": 8, "dim": 8, "depth": 1, "heads": 1, "public_steps": 2, "public_batch": 8}
    settings |= {"batch": 64, "steps": 3, "tokenizer_steps": 3, "tokenizer_dim": 8}
    result = call(
        *("privacy", "wavelet", "--dataset", "tiny", "--public", "tiny-public", "--eps", "1", "--propose"),
        *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
        *("--delta", "1e-6", "--device", "cpu", "--compute", "256"),
    )
    assert result.exit_code == 0
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("--set batch"))
    chosen = {"trainable": "all"} | dict(part.split("=") for part in line.replace("--set ", "").split())
    batch, steps = chosen["batch"], chosen["steps"]
    assert int(batch) * int(steps) <= 256
    assert re.search(rf"best +{chosen['trainable']} +[\d,]+ +{batch} +{steps} +[\d.]+ +[\d.]+ +1\.00", result.stdout)
    for trainable in ("all", "lora", "chosen"):
        assert trainable in result.stdout
    assert "as set" in result.stdout or batch == "64"
    assert re.search(r"wavelet.*, training lora weights: rehearsal on public data, kept for later runs", result.stderr)
    assert re.search(r"  rehearsed in \d+ s\n", result.stderr)
    assert "rehearsal on public data: finetune the token model (private)" in result.stderr
    assert events.EVENTS == []


def test_conversions_do_not_import_torch() -> None:
    code = (
        "import sys, dpbench.cli\nsys.argv = 'dpbench privacy --rate 0.01 --delta 1e-6 --steps 9 --noise 2'.split()\n"
    )
    code += "try: dpbench.cli.main()\nexcept SystemExit: pass\nprint('TORCH', 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "TORCH False" in done.stdout


def test_a_delta_that_is_not_below_one_in_n_is_warned_of_once() -> None:
    result = call(
        "privacy", "--records", "10000", "--batch", "10000", "--steps", "2", "--eps", "1,2", "--delta", "1e-3"
    )
    assert result.exit_code == 0
    assert result.stderr.count("is not below 1/n = 0.0001") == 1


def test_what_the_accountant_cannot_resolve_is_one_line() -> None:
    result = call("privacy", "--rate", "0.1", "--steps", "100", "--eps", "1", "--delta", "1e-18")
    assert result.exit_code == 2
    assert "use δ of at least" in result.stderr
    assert len(result.stderr.splitlines()) == 1

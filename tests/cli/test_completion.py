"""Shell completion, as bash asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from dpbench import METHODS, METRICS
from dpbench.cli import app


def complete(*words: str) -> list[str]:
    """What bash would offer for the last word."""
    environment = {
        "_DPBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["dpbench", *words]),
        "COMP_CWORD": str(len(words)),
    }
    return CliRunner().invoke(app, [], prog_name="dpbench", env=environment).stdout.split()


def test_methods_and_metrics_are_completed_one_after_the_other() -> None:
    assert complete("run", "--method", "wav") == ["wavelet"]
    assert complete("run", "--method", "wavelet,dp-me") == ["wavelet,dp-merf"]
    assert complete("run", "--method", "dp-merf,dp-") == [
        f"dp-merf,{name}" for name in METHODS.names() if name.startswith("dp-") and name != "dp-merf"
    ]
    assert complete("run", "--metrics", "fid,f") == [
        f"fid,{name}" for name in METRICS.names() if name.startswith("f") and name != "fid"
    ]
    assert complete("privacy", "dp-fe") == ["dp-feta", "dp-feta-pro"]
    assert complete("audit", "gs") == ["gs-wgan"]


def test_public_sources_are_no_sensitive_datasets() -> None:
    assert "figures" in complete("run", "--public", "")
    assert "figures" not in complete("run", "--dataset", "")
    assert complete("run", "--dataset", "mni") == ["mnist"]


def test_settings_are_those_of_the_methods_named_so_far() -> None:
    assert complete("run", "--method", "dpdm", "--set", "ste") == ["steps="]
    assert complete("run", "--method", "dpdm", "--set", "cod") == []
    assert complete("show", "wavelet", "--set", "cod") == ["codes=", "code_dim="]
    assert "refiner.name=bicubic" in complete("show", "wavelet[codes=8]", "--set", "refiner.name=")
    assert complete("run", "--method", "wavelet,dp-merf", "--set", "wavelet:cod") == [
        "wavelet:codes=",
        "wavelet:code_dim=",
    ]
    assert complete("refine", "--refiner", "residual", "--set", "sampling") == ["sampling_steps="]
    assert complete("run", "--set", "ste") == []
    assert complete("run", "--method", "wavelet[codes=8", "--set", "ste") == []


def test_choices_are_completed() -> None:
    assert complete("run", "--preset", "p") == ["paper"]
    assert complete("run", "--method", "dpdm", "--preset", "") == ["gpu", "paper", "small"]
    assert complete("run", "--references", "real,no") == ["real,nonprivate", "real,none"]
    assert complete("run", "--protocol", "dpi") == ["dpimagebench"]
    assert complete("show", "incep") == ["inception", "inception-score"]
    assert complete("check", "bicu") == ["bicubic"]
    assert complete("weights", "get", "incep") == ["inception"]


def test_columns_are_completed() -> None:
    assert complete("leaderboard", "--by", "accuracy_v") == ["accuracy_vgg"]
    assert complete("plot", "epsilon", "--columns", "fwd,kid") == ["fwd,kid"]
    assert complete("report", "--where", "tra") == ["track="]


def test_completion_of_settings_imports_no_torch(tmp_path: Path) -> None:
    code = """
import sys
from typer.testing import CliRunner
from dpbench.cli import app
words = "dpbench run --method " + ",".join(sys.argv[1:]) + " --set wavelet:cod"
environment = {"_DPBENCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "5"}
print(CliRunner().invoke(app, [], prog_name="dpbench", env=environment).stdout)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code, *METHODS.names()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "wavelet:codes=" in done.stdout

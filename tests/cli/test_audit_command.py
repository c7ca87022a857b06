"""`dpbench audit`: canaries in the private phase of every method, and every query on a small model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from calling import PLUGIN, call
from events import EVENTS

from dpbench import METHODS
from dpbench.benchmark.commands import method_audit as audit_module
from dpbench.privacy.noise import Draws

SURE = ["--confidence", "0.9999"]  # correct methods fail this test once in many thousand runs
TINY = ["--dataset", "tiny", "--public", "tiny-public", "--delta", "1e-5", "--device", "cpu", *SURE]

LATENT = [
    *("autoencoder_channels=[8,8]", "latent_channels=2", "channels=[8]", "attention=1", "context=8"),
    *("batch=40", "steps=3"),
]
GAN = ["generator_channels=[8]", "discriminator_channels=[8]", "embedding=4", "generator_batch=8"]
DIFFUSION = ["channels=[8,8]", "batch=40", "steps=3"]
SMALL = {
    "dp-merf": ["features=40"],
    "dp-ntk": ["hidden=4"],
    "dp-kernel": ["releases=3", "steps=6"],
    "central-wavelet": ["levels=1"],
    "dp-sgd": DIFFUSION,
    "privimage": [*DIFFUSION, "votes=1", "classifier_steps=2", "public_steps=2", "selected_steps=2"],
    "dpdm": DIFFUSION,
    "dp-feta": [*DIFFUSION, "central_images=2", "warmup_steps=2"],
    "dp-ar": ["codes=8", "dim=8", "depth=1", "heads=1", "tokenizer_dim=8", "batch=40", "steps=3"],
    "dp-feta-pro": [
        *DIFFUSION,
        *("central_images=2", "warmup_steps=2", "features=40", "generator_steps=2"),
        *("generated_images=20", "generated_steps=2"),
    ],
    "dp-ldm": LATENT,
    "dp-lora": [*LATENT, "rank=2", "select=saliency"],
    "dpagg-ti": ["channels=[8]", "condition=4", "inversion_steps=2"],
    "dp-gan": [*GAN, "batch=40", "steps=3"],
    "pe": ["population=10", "iterations=3", "votes=2", "lookahead=1", "generator.name=polygons"],
    "wavelet": ["levels=1", "codes=8", "dim=8", "depth=1", "heads=1", "tokenizer_dim=8", "batch=40", "steps=3"],
}
"""Settings of every registered method that shorten its private phase to about a second."""

NOT_AUDITED = {
    "gs-wgan": [*GAN, "shards=3", "trained=2", "steps=3"],
    "dp-rdm": ["channels=[8]", "components=4", "queries=3", "rate=1", "neighbours=5"],
}
"""Settings of methods without a mechanism that canaries measure."""

RELEASES = {
    "dp-merf": 1,
    "dp-ntk": 1,
    "dpagg-ti": 1,
    "central-wavelet": 2,
    "privimage": 4,
    "dp-feta": 5,
    "dp-feta-pro": 6,
    "dp-lora": 4,
}
"""Of methods that make other than three."""

PREPARED = {"privimage": ["--prepare", "--public", "tiny-public:labelled"], "pe": ["--prepare"]}
"""Options of methods whose private phase needs their public parts."""


def audit(method: str, *arguments: object, settings: list[str] | None = None):
    settings = SMALL.get(method, []) if settings is None else settings
    return call("audit", method, *TINY, *(part for s in settings for part in ("--set", s)), *arguments)


def test_all_registered_methods_are_covered() -> None:
    assert set(METHODS.names()) == {*SMALL, *NOT_AUDITED}


@pytest.mark.parametrize("method", NOT_AUDITED)
def test_a_method_without_measured_mechanisms_says_so(method: str, tiny: Path) -> None:
    result = audit(method, "--eps", "1", settings=NOT_AUDITED[method])
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "error: no mechanism of this plan is a sum with Gaussian noise, so there is nothing to audit\n"
    )


@pytest.mark.parametrize("method", SMALL)
def test_private_phase_of_a_method_is_audited(method: str, tiny: Path) -> None:
    result = audit(method, "--eps", "1", "--confidence", "0.999", *PREPARED.get(method, []))
    assert result.exit_code == 0, result.output
    parts = "trained" if method in PREPARED else "untrained"
    assert f"{method} on tiny, ε = 1, confidence 0.999 (public parts {parts})" in " ".join(result.stdout.split())
    line = [line for line in result.stdout.splitlines() if re.search(r" 150 +\d+/\d+ ", line)][-1]
    numbers = re.search(r"(\d+) +150 +(\d+)/(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +[\d.]+$", line.strip())
    releases, right, made = (int(numbers[i]) for i in (1, 2, 3))
    claimed, by_epsilon, by_curve = (float(numbers[i]) for i in (4, 5, 6))
    assert releases == RELEASES.get(method, 3)
    assert right <= made <= 150
    assert claimed == pytest.approx(1, rel=0.006)
    assert max(by_epsilon, by_curve) < claimed
    assert re.search(r"measured noise \d\.\d+ ± \d\.\d+ × planned, contributions -?\d", result.stdout)
    assert "train" not in EVENTS  # the sensitive dataset is not opened


def test_steps_and_engine_can_be_changed(tiny: Path) -> None:
    result = audit("dp-sgd", "--eps", "1", "--steps", "2", "--set", "engine=vmap", "--canaries", "30")
    assert result.exit_code == 0
    assert re.search(r"training +2 +30 +\d+/\d+ ", result.stdout)


def test_audit_skips_post_processing(tiny: Path) -> None:
    assert "post-processing" not in audit("dp-merf", "--eps", "1").stderr


def test_plugin_is_audited_with_its_public_part(tiny: Path) -> None:
    assert call("audit", "mean", "--plugin", PLUGIN, *TINY, "--eps", "1").exit_code == 0
    result = audit("fake", "--eps", "1", "--prepare")
    assert result.exit_code == 0
    assert "(public parts trained)" in result.stdout
    assert EVENTS == ["fit", "prepare", "fit"] or EVENTS == ["prepare", "fit"]


def test_too_little_noise_fails_the_command(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Draws.gaussian
    monkeypatch.setattr(Draws, "gaussian", lambda self, shape, std: draw(self, shape, std / 3))
    result = audit("dp-merf", "--eps", "1")
    assert result.exit_code == 1
    assert re.search(
        r"^refuted: the noise of 'mean embedding' has 0\.\d+ times the planned scale$",
        result.stderr,
        re.MULTILINE,
    )


def test_leaking_release_fails_the_command(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draws, "gaussian", lambda self, shape, std: torch.full(shape, 1e-9))
    result = audit("fake", "--eps", "1", "--canaries", "200", "--confidence", "0.99")
    assert result.exit_code == 1
    assert re.search(r"^refuted: mean: ε is at least \d.* at confidence 0.99, not 0\.999$", result.stderr, re.MULTILINE)


def test_queries_are_audited_on_a_small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert audit_module.QUERIES == ("book-keeping", "opacus", "vmap", "noisy_sum")
    monkeypatch.setattr(audit_module, "QUERIES", ("book-keeping",))  # all are tested in tests/privacy/auditing
    result = call("audit", "--engines", "--eps", "1", "--runs", "100", "--device", "cpu", *SURE)
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.stdout.splitlines() if re.match(r" *book-keeping +2 ", line))
    claimed, bound = (float(n) for n in re.findall(r"[\d.]+", line)[2:4])
    assert claimed == pytest.approx(1, rel=0.006)
    assert bound < claimed
    assert "book-keeping: measured noise" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eps", "1"], "name a method, or give --engines"),
        (["fake", *TINY, "--eps", "inf"], "an audit needs a finite, positive ε"),
        (["fake", *TINY, "--eps", "-1"], "an audit needs a finite, positive ε, not -1"),
        (["--engines", "--eps", "0"], "an audit needs a finite, positive ε"),
        (["fake", *TINY, "--confidence", "1"], "the confidence must be in [0.5, 1)"),
        (["fake", *TINY, "--canaries", "5"], "choose 10 to 4000 canaries, not 5"),
        (["fake", *TINY, "--canaries", "100", "--records", "50"], "choose 10 to 50 canaries"),
        (["fake", *TINY, "--records", "3"], "at least 20 records"),
        (["fake", *TINY, "--steps", "0"], "at least 1 steps"),
        (["--engines", "--runs", "5"], "at least 100 runs"),
        (["fak", *TINY], "did you mean fake?"),
        (["fake", *TINY, "--set", "fail=crash"], "the private phase of 'fake' failed: RuntimeError: it broke"),
        (["fake", *TINY, "--set", "fail=skip"], "the plan says 1 releases of 'mean', the receipts say 0"),
        (["wavelet", *TINY, "--set", "steps=auto"], "steps=auto is resolved on public data"),
        (["wavelet", *TINY, "--set", "coarse=real", "--set", "levels=1"], "releases nothing, so it cannot be audited"),
    ],
)
def test_invalid_audit_request_gives_a_one_line_error(tiny: Path, arguments: list[str], message: str) -> None:
    result = call("audit", *arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert message in result.stderr

"""`dpbench export`: what is in the archive and what is not, and that the model in it works."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from calling import call, run
from test_completion import complete

import dpbench
from dpbench import DpbenchError
from dpbench.results import checksums
from dpbench.results.record import TrialRecord

SECRET = "do not tell"
PLANTED = ("checkpoints/fit/noise.key", "checkpoints/fit/steps.pt", "sensitive/scores.json", "sensitive/noise.key",
           "log.txt", "notes.txt", "drawn/images/00000.png", "samples/notes.txt", ".holder")  # fmt: skip


def trial_in(out: Path, *arguments: object) -> Path:
    assert run(out, *arguments).exit_code == 0
    (card,) = out.rglob("README.md")
    return card.parent


def names_in(archive: Path) -> set[str]:
    return {Path(*Path(name).parts[1:]).as_posix() for name in ZipFile(archive).namelist()}


PACKED = {"README.md", "trial.json", "ledger.json", "scores.json", "checksums.json", "model.safetensors",
          "samples.png", "samples/00000.npy", "samples/conditions.json"}  # fmt: skip


def test_the_model_in_it_draws_the_same_images(tiny: Path) -> None:
    trial, out = trial_in(tiny), tiny.parent / "mine.zip"
    result = call("export", trial.name[:6], "--results", tiny, "--out", out)
    assert result.stdout.splitlines() == [f"fake ε=1 seed 0: {out}", f"card: {trial / 'README.md'}"]
    assert names_in(out) == PACKED
    ZipFile(out).extractall(tiny.parent / "unpacked")
    unpacked = tiny.parent / "unpacked" / "mine"
    assert call("sample", unpacked, "--count", 30, "--device", "cpu").exit_code == 0
    drawn = np.load(unpacked / "drawn" / "samples.npz")["images"]
    assert np.array_equal(drawn.transpose(0, 3, 1, 2), np.load(trial / "samples" / "00000.npy"))
    assert not (trial / "drawn").exists()
    assert {*json.loads((unpacked / "checksums.json").read_text())["sha256"]} == PACKED - {"checksums.json"}
    (unpacked / "README.md").write_text("another")
    with pytest.raises(DpbenchError, match=r"README\.md is damaged"):
        checksums.check(unpacked / "checksums.json", unpacked, unpacked / "README.md")


def test_without_samples_the_model_still_works(tiny: Path) -> None:
    trial, out = trial_in(tiny, "--dataset", "tiny:captions"), tiny.parent / "small.zip"
    assert call("export", trial, "--out", out, "--without-samples").exit_code == 0
    assert names_in(out) == PACKED - {"samples.png", "samples/00000.npy"}
    ZipFile(out).extractall(tiny.parent)
    assert call("sample", tiny.parent / "small", "--count", 2, "--device", "cpu").exit_code == 0


@pytest.mark.parametrize(("dataset", "absent"), [("tiny", set()), ("tiny:secret", {"scores.json"})])
def test_no_key_checkpoint_log_or_private_score_is_in_it(tiny: Path, dataset: str, absent: set[str]) -> None:
    trial, out = trial_in(tiny, "--dataset", dataset, "--metrics", "brightness,familiar"), tiny.parent / "mine.zip"
    for name in PLANTED:
        (trial / name).parent.mkdir(parents=True, exist_ok=True)
        (trial / name).write_text(SECRET)
    assert call("export", trial, "--out", out).exit_code == 0
    assert names_in(out) == PACKED - absent
    with ZipFile(out) as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    assert not any(SECRET.encode() in content for content in contents)
    assert absent == set() or not any(b"brightness" in content and b'"values"' in content for content in contents)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--eps", "inf"), "tiny:secret is not declared public, and no guarantee protects its records"),
        (("--reproducible-noise", "1"), "no guarantee protects its records"),
    ],
)
def test_what_no_guarantee_protects_is_not_packed(tiny: Path, arguments: tuple[str, ...], message: str) -> None:
    trial = trial_in(tiny, "--dataset", "tiny:secret", *arguments)
    result = call("export", trial, "--out", tiny.parent / "mine.zip")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tiny.parent / "mine.zip").exists()


def test_wrong_requests_are_answered_in_one_line(tiny: Path) -> None:
    trial, out = trial_in(tiny), tiny.parent / "mine.zip"
    out.write_text("older")
    (trial.parent / "empty").mkdir()
    unscored = trial.parent / "unscored"
    unscored.mkdir()
    (unscored / "unscored.json").write_bytes((trial / "trial.json").read_bytes())
    for words, message in (
        ((trial, "--out", out), f"{out} exists; remove it"),
        ((trial, "--out", "mine.tar"), "must end with .zip"),
        ((trial.parent / "empty",), "is not the folder of a sampled trial"),
        ((trial.parent / "nowhere",), "is neither the folder of a trial nor"),
        ((unscored, "--out", tiny / "new.zip"), "is not scored yet; run the command that started it again"),
    ):
        result = call("export", *words)
        (line,) = result.stderr.splitlines()
        assert (result.exit_code, line.startswith("error: ")) == (2, True), line
        assert message in line
    assert out.read_text() == "older"


def test_images_from_elsewhere_are_not_packed(tiny: Path) -> None:
    trial = trial_in(tiny)
    words = ("--dataset", "tiny", "--name", "theirs", "--metrics", "brightness", "--out", tiny)
    assert call("evaluate", trial / "samples", *words).exit_code == 0
    (theirs,) = (tiny / "tiny" / "theirs").iterdir()
    assert "its images were not drawn by dpbench" in call("export", theirs).stderr


def test_damaged_files_are_not_packed(tiny: Path) -> None:
    trial = trial_in(tiny)
    (trial / "samples" / "00000.npy").write_bytes(b"other")
    assert "00000.npy is damaged" in call("export", trial, "--out", tiny / "mine.zip").stderr


def test_a_full_disk_leaves_nothing_behind(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial, folder = trial_in(tiny), tiny.parent / "full"
    write = ZipFile.write

    def full(archive: ZipFile, path: Path, name: str) -> None:
        if path.suffix == ".npy":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(archive, path, name)

    monkeypatch.setattr(ZipFile, "write", full)
    result = call("export", trial, "--out", folder / "mine.zip")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == f"error: cannot write {folder / 'mine.zip'}: No space left on device"
    assert [*folder.iterdir()] == []


def test_the_card_is_written_anew_unless_it_was_edited(tiny: Path) -> None:
    trial = trial_in(tiny)
    (trial / "README.md").unlink()
    assert call("export", trial, "--out", tiny / "first.zip").exit_code == 0
    assert (trial / "README.md").exists()
    (trial / "README.md").write_text("# mine\n")
    result = call("export", trial, "--out", tiny / "second.zip")
    assert "README.md (edited, so left as it is)" in result.stdout
    assert ZipFile(tiny / "second.zip").read("second/README.md") == b"# mine\n"


def test_trials_are_completed_by_folder_and_by_key(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = trial_in(tiny)
    monkeypatch.chdir(tiny.parent)
    tiny.rename("results")
    path = f"results/tiny/fake/{trial.name}"
    assert complete("export", "") == complete("sample", "results/ti") == [path]
    assert complete("export", trial.name[:5]) == [trial.name]


def test_the_record_in_it_is_the_trial_s(tiny: Path) -> None:
    trial = trial_in(tiny)
    assert call("export", trial, "--out", tiny / "mine.zip").exit_code == 0
    with ZipFile(tiny / "mine.zip") as archive:
        assert TrialRecord.from_json(json.loads(archive.read("mine/trial.json"))).key == trial.name


def test_python_packs_as_the_command_does(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = trial_in(tiny)
    monkeypatch.chdir(tiny.parent)
    packed = dpbench.export(trial.name[:6], tiny, samples=False)
    assert packed.path == Path(f"fake-{trial.name}.zip")
    assert names_in(packed.path) == PACKED - {"samples.png", "samples/00000.npy"}
    assert (packed.card, packed.card_is_own) == (trial / "README.md", False)
    with pytest.raises(DpbenchError, match="neither the folder of a trial nor"):
        dpbench.export("abc", tiny)

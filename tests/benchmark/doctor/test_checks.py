"""What `dpbench doctor` finds, and what it advises."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from dpbench import RunRequest
from dpbench.benchmark.doctor import hardware, packages, places, stores
from dpbench.benchmark.doctor.machine_check import Check
from dpbench.models.pretrained import finding
from dpbench.models.pretrained.published import WEIGHTS

DECLARED = ["good>=1", "old>=2.5", "gone", 'lpips>=0.1; extra == "hub"', 'pytest; extra == "dev"']
INSTALLED = {"good": "1.5", "old": "2.4"}

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "requires", lambda _: DECLARED)
    monkeypatch.setattr(packages, "installed_version", INSTALLED.get)
    monkeypatch.setattr(packages, "extras", lambda: ["hub"])


def by_name(checks: Iterable[Check]) -> dict[str, tuple[str, str, str]]:
    return {check.name: (check.state, check.found, check.advice) for check in checks}


def test_versions_are_compared_with_what_is_declared(installed: None) -> None:
    found = by_name(packages.required_packages())
    assert found["good"] == ("ok", "1.5", "")
    assert found["old"] == ("problem", "2.4, but dpbench needs >=2.5", "pip install 'old>=2.5'")
    assert found["gone"] == ("problem", "not installed", "pip install 'gone'")
    assert found.keys() == {"dpbench", "Python", "good", "old", "gone"}


def test_optional_packages_are_absent_at_worst(installed: None) -> None:
    ((name, (state, found, advice)),) = by_name(packages.optional_packages()).items()
    assert (name, state, found) == ("hub", "absent", "not installed: lpips")
    assert advice.startswith("pip install 'dpbench[hub]'")


def test_this_installation_has_what_it_declares() -> None:
    assert {check.state for check in packages.required_packages()} <= {"ok", "absent"}


def test_driver_without_a_gpu_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    state, found, advice = by_name(hardware.devices())["cuda"]
    assert (state, torch.__version__ in found, "pytorch.org" in advice) == ("problem", True, True)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "cuda" not in by_name(hardware.devices())


def test_memory_is_that_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"LIMIT": "1000000000\n", "MEMORY": "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n"}.items():
        (tmp_path / name).write_text(text, encoding="ascii")
        monkeypatch.setattr(hardware, name, tmp_path / name)
    assert hardware.memory().state == "problem"
    assert hardware.memory().found == "1.0 GB of 1.0 GB free"
    (tmp_path / "LIMIT").write_text("max\n", encoding="ascii")
    monkeypatch.setattr(hardware, "ENOUGH", 4_096_000_000)
    assert (hardware.memory().state, hardware.free_memory()) == ("ok", 4_096_000_000)


def test_folders_must_be_writable_and_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "file" / "below"))
    found = by_name(places.folders(RunRequest(out=tmp_path / "new" / "results", data=tmp_path)))
    assert found["cache"][0] == "problem"
    assert "DPBENCH_CACHE" in found["cache"][2]
    assert found["results"][:2] == ("ok", f"{tmp_path / 'new' / 'results'}, {found['results'][1].split(', ')[1]}")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 10**8))
    state, _, advice = by_name(places.folders(RunRequest(out=tmp_path)))["results"]
    assert (state, advice) == ("problem", "make room on this disk, or choose another folder with --out")


def test_data_of_somebody_else_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert by_name(places.folders(RunRequest(data=tmp_path)))["data"][0] == "absent"
    assert by_name(places.folders(RunRequest(data=tmp_path / "missing")))["data"][0] == "problem"


def test_datasets_are_looked_for_and_opened_on_request(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "mnist" / "something").write_text("", encoding="utf-8")
    request = RunRequest(data=tmp_path)
    found = by_name(stores.dataset_folders(request))
    assert [found[name][0] for name in ("mnist", "cifar10", "coco", "shapes")] == ["ok", "absent", "absent", "ok"]
    assert "`dpbench doctor --dataset coco`" in found["coco"][2]
    opened = by_name(stores.opened_datasets(request, ["tiny", "mnist", "mnits"]))
    assert opened["tiny, opened"] == ("ok", "200 train and 40 test images", "")
    assert opened["mnist, opened"][0] == "problem"
    assert "put the four unpacked files" in opened["mnist, opened"][2]
    assert "did you mean mnist" in opened["mnits, opened"][2]


def test_weights_are_found_missing_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = by_name(stores.weights())
    assert found.keys() == WEIGHTS.keys()
    assert found["inception"][0] == "absent"
    assert found["inception"][2] == "`dpbench weights get inception` (95.6 MB)"
    (tmp_path / "broken").write_bytes(b"not the file")
    monkeypatch.setattr(finding, "places", lambda file: [tmp_path / "broken"])
    state, _, advice = by_name(stores.weights())["inception"]
    assert (state, "delete it" in advice) == ("problem", True)

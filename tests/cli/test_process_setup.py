"""How threads wait and what becomes of freed memory is set before torch is imported, unless the user has set it.

The process ends without a last search for unreachable objects.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from dpbench import cli
from dpbench.cli import process_setup

FAULTS = """
import resource
from dpbench.cli.process_setup import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(2**26)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
print(faults(), faults())
"""

END = """
import atexit
import gc
from dpbench.cli.process_setup import end_quickly

atexit.register(lambda: print("frozen" if gc.get_freeze_count() else "searched"))  # the last registered runs first
end_quickly()
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "10000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
)
def test_threads_wait_briefly_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: dict[str, str]
) -> None:
    environment = {"HOME": "x", **given}
    monkeypatch.setattr(process_setup.os, "environ", environment)
    process_setup.wait_briefly()
    assert environment == {"HOME": "x", **expected}


def test_the_command_is_in_time_for_torch() -> None:
    code = (
        "import os, sys\nfrom dpbench import cli\n"
        "cli.app = lambda: print('torch' in sys.modules, 'GOMP_SPINCOUNT' in os.environ)\ncli.main()"
    )
    unset = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=unset)
    assert run.stdout == "False True\n"


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
@pytest.mark.parametrize(("given", "kept"), [({}, True), ({"MALLOC_TRIM_THRESHOLD_": "1000"}, False)])
def test_freed_memory_stays_unless_told_otherwise(given: dict[str, str], kept: bool) -> None:
    run = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, env={**os.environ, **given})
    first, second = map(int, run.stdout.split())
    pages = 2**26 // os.sysconf("SC_PAGE_SIZE")
    assert first > pages / 1000  # large pages may hold 512 small ones
    assert (second < first / 10) is kept


def test_the_process_ends_without_a_search_for_unreachable_objects() -> None:
    run = subprocess.run([sys.executable, "-c", END], capture_output=True, text=True)
    assert run.stdout == "frozen\n"


def test_the_command_keeps_freed_memory_and_ends_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(cli, "wait_briefly", lambda: None)
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: called.append("memory"))
    monkeypatch.setattr(cli, "end_quickly", lambda: called.append("end"))
    monkeypatch.setattr(cli, "app", lambda: called.append("app"))
    cli.main()
    assert called == ["memory", "end", "app"]

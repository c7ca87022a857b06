"""Only one process at a time works on a trial."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Quiet
from dpbench.results.trial_folder import TrialFolder

TESTS = Path(__file__).parents[1]

HOLD = """
import sys
from pathlib import Path
from dpbench.core.progress import Quiet
from dpbench.results.trial_folder import TrialFolder
with TrialFolder(Path(sys.argv[1])).lock(Quiet()):
    print("held", flush=True)
    sys.stdin.read()
"""

RUN = """
import sys
import dpbench, fakes
from dpbench import DATASETS, METHODS, METRICS, NoisySum
from pathlib import Path

class Slow(fakes.FakeAlone):
    def fit(self, private, run):
        super().fit(private, run)
        print("fitted", flush=True)
        sys.stdin.readline()

DATASETS.register("tiny")(fakes.Tiny)
METHODS.register("slow")(Slow)
METRICS.register("brightness")(fakes.Brightness)
rows = dpbench.run("slow", "tiny", [1.0], delta=1e-6, samples=10, metrics=["brightness"], references=(), device="cpu",
                   out=sys.argv[1])
print(rows["date"].item(), flush=True)
"""


def start(program: str, folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program, str(folder)], env=environment, **pipes)


class Said(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.spoken = threading.Event()

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.spoken.set()


def test_second_process_reports_the_lock_holder_and_waits(tmp_path: Path) -> None:
    holder = start(HOLD, tmp_path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    said, entered = Said(), threading.Event()

    def enter() -> None:
        with TrialFolder(tmp_path).lock(said):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert said.spoken.wait(30)
    assert f"process {holder.pid} on " in said.lines[0]
    holder.send_signal(signal.SIGSTOP)  # a stopped process still holds the lock
    assert not entered.wait(0.3)
    holder.kill()  # a dead process does not
    assert entered.wait(30)
    thread.join()


def test_lock_is_released_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), TrialFolder(tmp_path / "trial").lock(Quiet()):
            raise RuntimeError


def test_unwritable_folder_error_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DpbenchError, match="cannot lock"), TrialFolder(tmp_path / "file" / "trial").lock(Quiet()):
        pass


def test_trial_started_twice_runs_once(tiny: Path) -> None:
    """Regression test: both processes released a model, only one was counted, and the row mixed both."""
    first = start(RUN, tiny)
    assert first.stdout is not None
    assert first.stdout.readline() == "fitted\n"
    second = start(RUN, tiny)
    out, _ = first.communicate("\n", timeout=120)
    again, _ = second.communicate("\n", timeout=120)
    assert (first.returncode, second.returncode) == (0, 0)
    assert again == out  # the second process used the row of the first and did not fit
    [ledger] = tiny.rglob("ledger.json")
    assert ledger.read_text().count('"releases_spent": 1') == 1
    [record] = tiny.parent.rglob("*.jsonl")
    assert len(record.read_text().splitlines()) == 1

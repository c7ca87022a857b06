import subprocess
import sys

import pytest

from dpbench.core.peak_memory import PROCESS, peak_memory_mb

PEAKS = """
from dpbench.cli.process_setup import keep_freed_memory
from dpbench.core.peak_memory import peak_memory_mb, reset_peak_memory

def peak_of(mib):
    reset_peak_memory("cpu")
    blocks = [bytearray(2**20) for _ in range(mib)]
    blocks.append(blocks)
    return peak_memory_mb("cpu")

keep_freed_memory()
print(peak_of(50), peak_of(400), peak_of(50))
"""


def test_the_peak_of_a_process_is_that_of_its_memory():
    assert 10 < (peak_memory_mb("cpu") or 0) < 1e6


@pytest.mark.skipif(not PROCESS.exists(), reason="only Linux resets the peak of a process")
def test_the_peak_of_a_small_trial_is_the_same_after_a_large_one():
    """Regression test: it was the peak of the process since its start."""
    run = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True, timeout=60)
    first, large, last = map(float, run.stdout.split())
    assert large > first + 300
    assert last == pytest.approx(first, abs=30)

"""Methods and refiners are listed, configured and planned without importing torch, which is slow."""

import subprocess
import sys

PLANNED = """
import sys
from preset_plans import preset_plan, presets

plans = [preset_plan(*preset) for preset in presets()]
assert len(plans) > 10
assert all(plan.mechanisms for plan in plans)
assert "torch" not in sys.modules, "plans import torch"
"""


def test_preset_plans_do_not_import_torch(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "tests/privacy", prepend=":")
    subprocess.run([sys.executable, "-c", PLANNED], check=True)

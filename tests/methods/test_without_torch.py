"""Every preset of every method is planned without torch, so that planning is quick."""

import subprocess
import sys

PLANNED = """
import sys
from preset_plans import preset_plan, presets

plans = [preset_plan(*preset) for preset in presets()]
assert len(plans) > 10
assert all(plan.mechanisms for plan in plans)
assert "torch" not in sys.modules, "planned with torch"
"""


def test_plans_of_all_presets_import_no_torch(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "tests/privacy", prepend=":")
    subprocess.run([sys.executable, "-c", PLANNED], check=True)

"""Methods and refiners are known, configured and planned without torch: listing them and planning is quick."""

import subprocess
import sys

LISTED = """
import sys
from dpbench.core.config import build
from dpbench.core.registries import METHODS, REFINERS

for registry in (METHODS, REFINERS):
    for name in registry.names():
        build(registry.get(name).Config, {})
assert "torch" not in sys.modules, "declared with torch"
"""

PLANNED = """
import sys
from preset_plans import preset_plan, presets

plans = [preset_plan(*preset) for preset in presets()]
assert len(plans) > 10
assert all(plan.mechanisms for plan in plans)
assert "torch" not in sys.modules, "planned with torch"
"""


def test_declarations_import_no_torch():
    subprocess.run([sys.executable, "-c", LISTED], check=True)


def test_plans_of_all_presets_import_no_torch(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "tests/privacy", prepend=":")
    subprocess.run([sys.executable, "-c", PLANNED], check=True)

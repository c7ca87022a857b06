"""Methods and refiners are listed, configured and planned without importing torch, which is slow."""

import subprocess
import sys

LISTED = """
import sys
from dpbench.core.config import build
from dpbench.core.registries import METHODS, REFINERS

for registry in (METHODS, REFINERS):
    for name in registry.names():
        build(registry.get(name).Config, {})
assert "torch" not in sys.modules, "declarations import torch"
"""

PLANNED = """
import sys
from preset_plans import preset_plan, presets

plans = [preset_plan(*preset) for preset in presets()]
assert len(plans) > 10
assert all(plan.mechanisms for plan in plans)
assert "torch" not in sys.modules, "plans import torch"
"""


def test_declarations_do_not_import_torch():
    subprocess.run([sys.executable, "-c", LISTED], check=True)


def test_preset_plans_do_not_import_torch(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "tests/privacy", prepend=":")
    subprocess.run([sys.executable, "-c", PLANNED], check=True)

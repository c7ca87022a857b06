"""Fixtures of the tests of refiners."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def weights_depend_on_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise every edit of a refiner's code seeds its training anew, and small networks fall short by chance."""
    monkeypatch.setattr("dpbench.core.cache.code_hash", lambda make: "fixed")

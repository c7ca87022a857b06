"""Fixtures of the tests of refiners."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def stable_weights(weights_depend_on_settings_alone: None) -> None:
    """For all tests of this folder."""

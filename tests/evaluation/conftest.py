"""Fixtures that are shared with the tests of metrics."""

from __future__ import annotations

from image_fixtures import evaluation, features, make_images, noise, run

__all__ = ["evaluation", "features", "make_images", "noise", "run"]

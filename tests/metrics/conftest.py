"""Fixtures that are shared with the tests of evaluation."""

from __future__ import annotations

from image_fixtures import evaluation, features, made_clip, make_images, noise, publish, run, scores

__all__ = ["evaluation", "features", "made_clip", "make_images", "noise", "publish", "run", "scores"]

"""Names and versions of the classifiers and their recipes, as recorded in the protocol of a row. Imports no torch.

A change to a network or a recipe needs a new version: rows with different versions are not ranked against each other.
"""

from __future__ import annotations

QUICK = ("cnn", "vgg", "resnet")
"""The classifiers of `classifiers.quick`."""
QUICK_VERSION = "3"

DPIMAGEBENCH = ("resnet", "wrn", "resnext")
"""The classifiers of `classifiers.dpimagebench`."""
DPIMAGEBENCH_VERSION = "1"

REAL = "vgg"
"""The quick classifier that is trained on real images; see `classifiers.real_classifier`."""
REAL_VERSION = f"{REAL} v{QUICK_VERSION} on half of train"

SCENE_JUDGE_VERSION = "1"
"""The version of `classifiers.scene_judge`."""

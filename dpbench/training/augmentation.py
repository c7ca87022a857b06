"""Names of the augmentations of public images. `public.AUGMENTATIONS` defines the functions."""

from typing import Literal

Augmentation = Literal["none", "flip", "strokes", "colours", "rand-augment"]

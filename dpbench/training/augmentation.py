"""The names of augmentations of public images; `public.AUGMENTATIONS` has the functions."""

from typing import Literal

Augmentation = Literal["none", "flip", "strokes"]

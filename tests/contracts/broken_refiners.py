"""A sound refiner, and for each check one that breaks its promise."""

from __future__ import annotations

import torch
import torch.nn.functional as F

import dpbench.privacy.plan  # noqa: F401 (for check_imports)
from dpbench import DATASETS, DataOptions, Refiner


class Blocks(Refiner):
    """Each coarse pixel becomes a block with a learned offset and some noise."""

    def prepare(self, public, degrade, run) -> None:
        self.offset = public.batch(range(10)).images.float().mean() / 255

    def refine(self, coarse, size, run):
        images = F.interpolate(coarse, size=(size, size))
        noise = [torch.randn(image.shape, generator=run.generator) for image in images]
        return images + self.offset + 0.1 * torch.stack(noise)

    def state_dict(self):
        return {"offset": self.offset}

    def load_state_dict(self, state) -> None:
        self.offset = state["offset"]


class Undescribed(Blocks):
    __doc__ = ""


class OpensADataset(Blocks):
    """It looks for public images of its own."""

    def prepare(self, public, degrade, run) -> None:
        DATASETS.get("textures")("", DataOptions(run.cache.folder)).train()


class GreyOnly(Blocks):
    """It returns one channel."""

    def refine(self, coarse, size, run):
        return super().refine(coarse, size, run)[:, :1]


class NotFinite(Blocks):
    """It divides by zero."""

    def refine(self, coarse, size, run):
        return super().refine(coarse, size, run) / 0


class Inconsistent(Blocks):
    """It leaves out the projection."""

    def __call__(self, coarse, size, run):
        return self.refine(coarse, size, run)


class Normalised(Blocks):
    """It centres a batch on its mean."""

    def refine(self, coarse, size, run):
        images = super().refine(coarse, size, run)
        return images - images.mean()


class Unseeded(Blocks):
    """It draws from a generator of its own."""

    def refine(self, coarse, size, run):
        run.generator.seed()
        return super().refine(coarse, size, run)


class Forgetful(Blocks):
    """It does not restore what it saved."""

    def load_state_dict(self, state) -> None:
        self.offset = torch.tensor(0.0)


BROKEN: list[tuple[str, type[Blocks], str]] = [
    ("check_summary", Undescribed, "has no docstring"),
    ("check_images", OpensADataset, "preparing broken on the given public images must work"),
    ("check_images", GreyOnly, r"must return images \[3, 3, 16, 16\], not \[3, 1, 16, 16\]"),
    ("check_images", NotFinite, "must return finite"),
    ("check_consistency", Inconsistent, "changes the coarse band"),
    ("check_images_are_independent", Normalised, "differently alone and among others"),
    ("check_seeds", Unseeded, "other images for the same seed"),
    ("check_saved_model", Forgetful, "refines differently after saving"),
    ("check_imports", Blocks, "imports dpbench.privacy"),
    ("check_declared_without_torch", Blocks, "must need no torch"),
]
"""A check, a refiner that fails it, and a part of the message."""

"""Generators that break one promise each, and one that keeps them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dpbench.core.public_generator import Candidates, PublicGenerator


class Noise(PublicGenerator[Any]):
    """Noise images; a variation mixes in other noise: a sound generator."""

    def random(self, count: int, run: Any) -> Candidates:
        import torch

        return self.adopt(torch.randint(0, 256, (count, *self.shape), generator=run.generator, dtype=torch.uint8))

    def vary(self, candidates: Candidates, degree: float, run: Any) -> Candidates:
        other = self.random(len(candidates.images), run).images
        return self.adopt(((1 - degree) * candidates.images + degree * other).byte())


class Undescribed(Noise):
    __doc__ = ""


class Floating(Noise):
    """Gives floating-point images."""

    def adopt(self, images: Any) -> Candidates:
        return Candidates(images.float(), images.new_zeros(len(images), 0))


class WithoutOrigins(Noise):
    """Gives no origins."""

    def adopt(self, images: Any) -> Candidates:
        return Candidates(images, images[:0, 0, 0, :0].float())


class Restless(Noise):
    """Varies less for larger degrees."""

    def vary(self, candidates: Candidates, degree: float, run: Any) -> Candidates:
        return super().vary(candidates, 1 - degree, run)


class Selfish(Noise):
    """Does not know what to do with other images."""

    made: Any = None

    def random(self, count: int, run: Any) -> Candidates:
        self.made = super().random(count, run)
        return self.made

    def vary(self, candidates: Candidates, degree: float, run: Any) -> Candidates:
        if self.made is None or not bool((candidates.images[0] == self.made.images[0]).all()):
            raise ValueError("whose are these?")
        return super().vary(candidates, degree, run)


class Mixing(Noise):
    """Takes all images of a call from the first one."""

    def vary(self, candidates: Candidates, degree: float, run: Any) -> Candidates:
        varied = super().vary(candidates, degree, run)
        return self.adopt(varied.images // 2 + candidates.images[:1] // 2)


class Unseeded(Noise):
    """Draws from torch's global generator, which it seeds."""

    seed = 0

    def random(self, count: int, run: Any) -> Candidates:
        import torch

        self.seed += 1
        generator = torch.Generator().manual_seed(self.seed)
        return self.adopt(torch.randint(0, 256, (count, *self.shape), generator=generator, dtype=torch.uint8))


class Constant(Noise):
    """Gives the same images always."""

    def random(self, count: int, run: Any) -> Candidates:
        import torch

        generator = torch.Generator().manual_seed(0)
        return self.adopt(torch.randint(0, 256, (count, *self.shape), generator=generator, dtype=torch.uint8))


class Forgetful(Noise):
    """Keeps nothing of what it prepared."""

    brightness = 1

    def prepare(self, public: Any, run: Any) -> None:
        self.brightness = 2

    def vary(self, candidates: Candidates, degree: float, run: Any) -> Candidates:
        return self.adopt(super().vary(candidates, degree, run).images // self.brightness)


class Unnamed(Noise):
    """Pretrained, but names no weights."""

    @classmethod
    def track_of(cls, config: Any) -> Any:
        return "foundation"


class Careless(Noise):
    """Names weights with too few digits."""

    @classmethod
    def weights_of(cls, config: Any) -> Mapping[str, str]:
        return {"weights": "12ab"}


class Curious(Noise):
    """Imports the vault."""

    def prepare(self, public: Any, run: Any) -> None:
        from dpbench.privacy.vault import Vault  # noqa: F401


class Heavy(Noise):
    """Needs torch to check a shape."""

    @classmethod
    def check_shape(cls, config: Any, shape: tuple[int, int, int]) -> None:
        import torch  # noqa: F401


BROKEN = [
    ("check_summary", Undescribed, "has no docstring"),
    ("check_images", Floating, "must make uint8 images"),
    ("check_images", WithoutOrigins, "row of finite origins"),
    ("check_degree", Restless, "varies by"),
    ("check_adopt", Selfish, "must work, but raises ValueError"),
    ("check_candidates_are_independent", Mixing, "varies an image depending on others"),
    ("check_seeds", Unseeded, "other images for the same seed"),
    ("check_seeds", Constant, "the same images for every seed"),
    ("check_saved_state", Forgetful, "varies differently after saving"),
    ("check_weights", Unnamed, "in the track 'foundation' with 0 named weights"),
    ("check_weights", Careless, "12 hexadecimal digits"),
    ("check_imports", Curious, "sees public images alone"),
    ("check_declared_without_torch", Heavy, "must need no torch"),
]

"""my-refiner: interpolation, then sharpening with a strength learned from public images. Replace it with your idea."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from dpbench import REFINERS, Refiner, RefinerSettings, option


@dataclass(frozen=True)
class MyRefinerConfig(RefinerSettings):
    """Settings of my-refiner; `--set refiner.images=500` changes one."""

    images: int = option(1000, "public images to learn the strength from", low=1)


def enlarge(coarse: Tensor, size: int) -> Tensor:
    """[b, c, h, w] -> [b, c, size, size]."""
    return interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)


def edges(images: Tensor) -> Tensor:
    """The detail that a blur removes."""
    return images - avg_pool2d(images, kernel_size=3, stride=1, padding=1, count_include_pad=False)


@REFINERS.register("my-refiner")
class MyRefiner(Refiner):
    """Bicubic interpolation and an unsharp mask, whose strength is learned from public images."""

    Config = MyRefinerConfig

    def prepare(self, public, degrade, run) -> None:
        """Learns from public images, and stores the result for other trials."""

        def learn(generator) -> dict[str, Tensor]:
            """Least squares: the enlarged image plus `strength` times its edges should equal the image."""
            images = public.batch(range(min(self.config.images, len(public)))).images.float() / 127.5 - 1
            enlarged = enlarge(degrade(images, generator), images.shape[-1])
            missing, found = images - enlarged, edges(enlarged)
            return {"strength": (missing * found).sum()[None] / (found**2).sum().clamp(min=1e-6)}

        key = [public.fingerprint, degrade.key, self.config.images]  # everything the result depends on besides the code
        self.strength = run.cache.get("my-refiner", key, learn)["strength"]

    def refine(self, coarse: Tensor, size: int, run) -> Tensor:
        """Coarse images [b, c, h, w] in [-1, 1] -> [b, c, size, size]."""
        enlarged = enlarge(coarse, size)
        return (enlarged + self.strength.to(coarse) * edges(enlarged)).clamp(-1, 1)

    def state_dict(self) -> dict[str, Tensor]:
        """All that `prepare` learned."""
        return {"strength": self.strength}

    def load_state_dict(self, state) -> None:
        """Restores `state_dict()`."""
        self.strength = state["strength"]

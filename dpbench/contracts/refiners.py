"""What every refiner promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dpbench.contracts.case import Case, check_summary, imported_names, require_no_torch
from dpbench.contracts.promise import must_work, require
from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.refiner import Refiner
from dpbench.core.seal import Seal

if TYPE_CHECKING:
    from torch import Tensor

SIZE, LEVELS = 16, 2

OUT_OF_REACH = ("dpbench.privacy", "dpbench.data", "dpbench.metrics", "dpbench.results", "dpbench.benchmark")
"""Parts of dpbench that a refiner may not import."""


@dataclass(frozen=True)
class RefinerCase(Case[Refiner[Any]]):
    """A refiner under test.

    Attributes:
        settings: small enough that it trains on 100 images of 16 × 16 pixels in a second or two.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def prepared(self) -> Refiner[Any]:
        """A refiner for grey images, after `prepare`."""
        return self.new_refiner(channels=1)

    def new_refiner(self, channels: int, **settings: Any) -> Refiner[Any]:
        """A refiner with these settings changed, after `prepare`, during which no dataset but its argument was open."""
        from dpbench.contracts.small_sets import bars, bars_spec
        from dpbench.refiners.degrade import BlockMeans

        public = bars(bars_spec(SIZE, channels, classes=None), 100, seed=0)
        with must_work(f"preparing {self.name} on the given public images"), Seal().everything_closed():
            refiner = self.plugin(build(self.plugin.Config, {**self.settings, **settings}))
            refiner.prepare(public, BlockMeans(LEVELS, 0.02), self.run())
        return refiner

    def run(self, seed: int = 0) -> RunContext:
        """A working environment with the refiner's public cache."""
        import torch

        torch.manual_seed(seed)
        return RunContext("cpu", torch.Generator().manual_seed(seed), PublicCache(self.folder / "public"))

    def coarse(self, count: int, channels: int = 1) -> Tensor:
        """Coarse images [count, channels, 4, 4] in [-1, 1]."""
        import torch

        size = SIZE // 2**LEVELS
        return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def check_declared_without_torch(case: RefinerCase) -> None:
    """The refiner is imported and configured without torch."""
    require_no_torch(case, f"from dpbench.core.config import build\nbuild(plugin.Config, {dict(case.settings)!r})")


def check_images(case: RefinerCase) -> None:
    """Grey and colour images keep their number and channels and get the requested size; all values are finite."""
    for channels in (1, 3):
        refiner = case.new_refiner(channels)
        with must_work(f"refining images of {channels} channels by {case.name}"):
            images = refiner(case.coarse(3, channels), SIZE, case.run())
        expected, found = (3, channels, SIZE, SIZE), tuple(images.shape)
        require(found == expected, f"{case.name} must return images {list(expected)}, not {list(found)}")
        is_finite = images.is_floating_point() and bool(images.isfinite().all())
        require(is_finite, f"{case.name} must return finite floating-point images in [-1, 1]")


def check_consistency(case: RefinerCase) -> None:
    """With consistency=project, the mean of each block of the full image is the given coarse pixel."""
    from dpbench.core.refiner import block_means

    coarse = case.coarse(3)
    images = case.new_refiner(1, consistency="project")(coarse, SIZE, case.run())
    error = float((block_means(images, 2**LEVELS) - coarse).abs().max())
    require(error < 1e-4, f"{case.name} changes the coarse band by {error:.2g} in spite of consistency=project")


def check_images_are_independent(case: RefinerCase) -> None:
    """An image does not depend on the others in its call: several calls with one generator equal one call."""
    import torch

    coarse = case.coarse(7)
    whole, run = case.prepared(coarse, SIZE, case.run()), case.run()
    parts = torch.cat([case.prepared(part, SIZE, run) for part in coarse.split([1, 4, 2])])
    same = torch.allclose(whole, parts, atol=1e-4)
    require(same, f"{case.name} refines an image differently alone and among others; treat images independently")


def check_seeds(case: RefinerCase) -> None:
    """The same generator gives the same images."""
    import torch

    first, again = (case.prepared(case.coarse(3), SIZE, case.run()) for _ in range(2))
    require(torch.equal(first, again), f"{case.name} gives other images for the same seed; draw from run.generator")


def check_saved_model(case: RefinerCase) -> None:
    """A new instance with the saved state gives the same images."""
    import torch

    with must_work(f"saving and restoring {case.name}"):
        restored = case.plugin(case.prepared.config)
        restored.load_state_dict({name: t.detach().clone() for name, t in case.prepared.state_dict().items()})
        first, again = (r(case.coarse(3), SIZE, case.run()) for r in (case.prepared, restored))
    require(torch.equal(first, again), f"{case.name} refines differently after saving; keep all weights in state_dict")


def check_imports(case: RefinerCase) -> None:
    """The refiner imports nothing that reads private data."""
    refused = sorted(name for name in imported_names(case.plugin) if name.startswith(OUT_OF_REACH))
    require(not refused, f"{case.name} imports {', '.join(refused)}; a refiner sees public images alone")


CHECKS: tuple[Callable[[RefinerCase], None], ...] = (
    check_summary,
    check_images,
    check_consistency,
    check_images_are_independent,
    check_seeds,
    check_saved_model,
    check_imports,
)
"""For every refiner."""

BUILTIN_CHECKS: tuple[Callable[[RefinerCase], None], ...] = (*CHECKS, check_declared_without_torch)
"""For the refiners of dpbench itself, which are listed and configured without torch."""

"""What every public generator promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dpbench.contracts.case import Case, check_summary, check_weights, imported_names, require_no_torch
from dpbench.contracts.promise import must_work, require
from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.public_generator import Candidates, PublicGenerator
from dpbench.core.seal import Seal

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 16

COUNT = 24

NEAR, FAR = 0.05, 1.0
"""Small and large degree of variation."""

OUT_OF_REACH = ("dpbench.privacy", "dpbench.data", "dpbench.metrics", "dpbench.results", "dpbench.benchmark")
"""Parts of dpbench that a generator may not import."""


@dataclass(frozen=True)
class GeneratorCase(Case[PublicGenerator[Any]]):
    """A generator under test.

    Attributes:
        settings: small enough that it prepares on 100 images of 16 × 16 pixels (with captions if it needs them) in a
            second or two.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def config(self) -> Any:
        """Its configuration."""
        with must_work(f"configuring {self.name}"):
            return build(self.plugin.Config, self.settings)

    @cached_property
    def prepared(self) -> PublicGenerator[Any]:
        """A generator of grey images, after `prepare`."""
        return self.new_generator(channels=1)

    def new_generator(self, channels: int) -> PublicGenerator[Any]:
        """A generator after `prepare`, during which no dataset but its argument was open."""
        from dpbench.contracts.small_sets import bars, bars_spec, captioned_bars

        spec = bars_spec(SIZE, channels)
        with must_work(f"preparing {self.name} on the given public images"), Seal().everything_closed():
            self.plugin.check_shape(self.config, spec.shape)
            generator = self.plugin(self.config, spec.shape)
            public = captioned_bars if self.plugin.needs_captions else bars
            generator.prepare(public(spec, 100, seed=0), self.run())
        return generator

    def run(self, seed: int = 0) -> RunContext:
        """A working environment with the generator's public cache."""
        import torch

        torch.manual_seed(seed)
        return RunContext("cpu", torch.Generator().manual_seed(seed), PublicCache(self.folder / "public"))

    def random(self, generator: PublicGenerator[Any], seed: int = 0) -> Candidates:
        """Random candidates, made with the public cache closed."""
        with must_work(f"random images by {self.name}"):
            return generator.random(COUNT, self._closed(seed))

    def varied(self, generator: PublicGenerator[Any], candidates: Candidates, degree: float = 0.5) -> Candidates:
        """Variations, made with the public cache closed."""
        with must_work(f"variations of degree {degree} by {self.name}"):
            return generator.vary(candidates, degree, self._closed(1))

    def _closed(self, seed: int) -> RunContext:
        run = self.run(seed)
        run.cache.close()
        return run


def check_images(case: GeneratorCase) -> None:
    """Random images and variations, grey and colour, are uint8 images of the shape; every one has an origin."""
    for channels in (1, 3):
        generator = case.new_generator(channels)
        random = case.random(generator)
        for made in (random, case.varied(generator, random)):
            _require_candidates(case, made, (COUNT, channels, SIZE, SIZE))


def check_degree(case: GeneratorCase) -> None:
    """Variations of a small degree are nearer to their images than those of the largest degree."""
    random = case.random(case.prepared)
    near, far = (_distance(random.images, case.varied(case.prepared, random, d).images) for d in (NEAR, FAR))
    require(near < far, f"{case.name} varies by {near:.3g} at degree {NEAR} and {far:.3g} at {FAR}; see vary")


def check_adopt(case: GeneratorCase) -> None:
    """Images that it did not make are varied, unless the generator declares that it varies only its own."""
    import torch

    if not case.plugin.varies_any:
        return
    images = torch.randint(0, 256, (COUNT, 1, SIZE, SIZE), dtype=torch.uint8)
    with must_work(f"adopting images from elsewhere by {case.name}"):
        adopted = case.prepared.adopt(images)
    _require_candidates(case, case.varied(case.prepared, adopted), (COUNT, 1, SIZE, SIZE))


def check_candidates_are_independent(case: GeneratorCase) -> None:
    """Candidates keep their order, and replacing one leaves the variations of the others unchanged."""
    import torch

    random = case.random(case.prepared)
    other = random.select(torch.tensor([1, *range(1, COUNT)]))
    first, second = (case.varied(case.prepared, given).images[1:] for given in (random, other))
    require(_distance(first, second) < 1, f"{case.name} varies an image depending on others; keep order and draws")


def check_seeds(case: GeneratorCase) -> None:
    """The same random generator gives the same images; another one gives other images."""
    import torch

    first, again, other = (case.random(case.prepared, seed).images for seed in (0, 0, 1))
    require(torch.equal(first, again), f"{case.name} gives other images for the same seed; draw from run.generator")
    require(not torch.equal(first, other), f"{case.name} gives the same images for every seed; draw from run.generator")


def check_saved_state(case: GeneratorCase) -> None:
    """A new instance with the saved state varies the same, without `prepare`."""
    import torch

    random = case.random(case.prepared)
    with must_work(f"saving and restoring {case.name}"):
        restored = case.plugin(case.config, case.prepared.shape)
        restored.load_state_dict({name: t.detach().clone() for name, t in case.prepared.state_dict().items()})
    first, again = (case.varied(g, random).images for g in (case.prepared, restored))
    require(torch.equal(first, again), f"{case.name} varies differently after saving; keep all it needs in state_dict")


def check_imports(case: GeneratorCase) -> None:
    """The generator imports nothing that reads private data."""
    refused = sorted(name for name in imported_names(case.plugin) if name.startswith(OUT_OF_REACH))
    require(not refused, f"{case.name} imports {', '.join(refused)}; a generator sees public images alone")


def check_declared_without_torch(case: GeneratorCase) -> None:
    """The generator is imported, configured and checked against a shape without torch."""
    settings = f"build(plugin.Config, {dict(case.settings)!r})"
    require_no_torch(
        case, f"from dpbench.core.config import build\nplugin.check_shape({settings}, (1, {SIZE}, {SIZE}))"
    )


def _require_candidates(case: GeneratorCase, made: Candidates, shape: tuple[int, ...]) -> None:
    import torch

    found = f"{made.images.dtype} {list(made.images.shape)}"
    is_right = made.images.dtype == torch.uint8 and tuple(made.images.shape) == shape
    require(is_right, f"{case.name} must make uint8 images {list(shape)}, not {found}")
    has_origins = made.origins.ndim == 2 and len(made.origins) == shape[0] and bool(made.origins.isfinite().all())
    require(has_origins, f"{case.name} must give every image a row of finite origins, possibly an empty one")


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).abs().mean())


CHECKS: tuple[Callable[[GeneratorCase], None], ...] = (
    check_summary,
    check_images,
    check_degree,
    check_adopt,
    check_candidates_are_independent,
    check_seeds,
    check_saved_state,
    check_weights,
    check_imports,
)
"""For every generator."""

BUILTIN_CHECKS: tuple[Callable[[GeneratorCase], None], ...] = (*CHECKS, check_declared_without_torch)
"""For the generators of dpbench itself, which are listed and configured without torch."""

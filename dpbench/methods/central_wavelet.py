"""Noisy means and covariances of the coarse wavelet band, and a public detail stage: a baseline for `wavelet`; ours.

If the private information of an image is mostly in its coarse band, a simple private model of the band, plus public
detail, goes far. The model is one Gaussian per class. Nothing is trained privately.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from dpbench.core.config import Choice, option, plugin_option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.method import Method, Preset, required
from dpbench.core.refiner import Refiner
from dpbench.core.registries import REFINERS
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.core.state_parts import joined, part_of
from dpbench.core.track import Track, joint_track
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.privacy.private_data import PrivateData

MEANS, COVARIANCES = "means", "covariances"
"""Names of the mechanisms."""

LARGEST = 2048
"""Maximum number of coefficients of a coarse image; a record's products of them then take 8 MB."""

PUBLIC = 5000
"""Number of public images to which the `public` reference is fitted."""

ON_HANDWRITING: Mapping[str, Any] = MappingProxyType(
    {"clip": 0.3, "rest_clip": 0.19, "refiner.augmentation": "strokes"}
)
"""For light strokes on black, whose norm is small."""


@dataclass(frozen=True)
class CentralWaveletConfig:
    """Settings of the private sums and of the detail stage."""

    levels: int = option(2, "number of Haar levels above the coarse band", low=1)
    clip: float = option(
        0.7, "clipping norm of a coarse image in [0, 1], as a share of the largest norm", above=0, high=1
    )
    rest_clip: float = option(
        0.3,
        "clipping norm of a coarse image minus the mean of its class, as a share of the largest norm",
        above=0,
        high=1,
    )
    count_weight: float = option(0.3, "weight of the class count, released together with the means", above=0)
    means_noise: float = option(3.0, "noise multiplier of the means, relative to that of the covariances", above=0)
    pooling: float = option(0.5, "share of a class's covariance taken from the records of all classes", low=0, high=1)
    noise: float = option(0.2, "standard deviation of noise on the refiner's training inputs in [-1, 1]", low=0)
    refiner: Choice = plugin_option("regression", REFINERS, "detail stage")

    def coarse_shape(self, spec: DatasetSpec) -> tuple[int, int, int]:
        """(channels, height, width) of a coarse image.

        Raises:
            ConfigError: the levels do not divide the resolution, or leave a coarse image above `LARGEST`.
        """
        side, rest = divmod(spec.resolution, 2**self.levels)
        if rest:
            raise ConfigError(f"{self.levels} levels do not divide {spec.resolution} pixels; set levels")
        if (size := spec.channels * side**2) > LARGEST:
            raise ConfigError(
                f"a coarse image of {size:,} coefficients is too large for a covariance (at most {LARGEST:,}); set "
                f"levels above {self.levels}"
            )
        return spec.channels, side, side


class CentralWavelet(Method[CentralWaveletConfig]):
    """Noisy class means and covariances of the coarse wavelet band, a Gaussian, and a public super-resolver.

    Two noisy sums over all records: first the coarse images and counts of each class, then the products of the
    coefficients after the released means are subtracted. Coarse images are drawn from one Gaussian per class; its
    covariance omits the directions that noise alone could have made. A refiner trained on public images adds the detail
    bands, which is post-processing.
    """

    Config = CentralWaveletConfig
    version = "1"
    track = "images"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset({"refiner.width": 32, "refiner.steps": 400}),
        "small/mnist": Preset(ON_HANDWRITING, tuning="hold-out of mnist train"),
        "small/shapes": Preset({"refiner.augmentation": "none"}),
        "gpu": Preset({"refiner.steps": 4000}),
        "gpu/mnist": Preset(ON_HANDWRITING),
        "paper": Preset({"refiner.name": "residual"}),  # ours: nothing is published
    }

    def __init__(self, config: CentralWaveletConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.cores.coarse_gaussian import CoarseGaussian

        self.model = CoarseGaussian(config.coarse_shape(spec), max(1, spec.n_classes), config.levels)
        self.detail: Refiner[Any] = REFINERS.get(config.refiner.name)(config.refiner.config)

    @classmethod
    def track_of(cls, config: CentralWaveletConfig) -> Track:
        """The track is "foundation" if the refiner brings in weights pretrained elsewhere."""
        chosen = config.refiner
        return joint_track(cls.track, REFINERS.get(chosen.name).track_of(chosen.config))

    @classmethod
    def weights_of(cls, config: CentralWaveletConfig) -> Mapping[str, str]:
        """The weights of the refiner."""
        return REFINERS.get(config.refiner.name).weights_of(config.refiner.config)

    @classmethod
    def plan(cls, config: CentralWaveletConfig, spec: DatasetSpec, request: Request) -> Plan:
        """Two sums, each over all records, once: the coarse images, then their products.

        Raises:
            ConfigError: the levels do not divide the resolution, or the refiner's settings do not fit them.
        """
        config.refiner.config.check_scale(2**config.levels)
        rest = config.rest_clip * largest_norm(config, spec)
        return Plan(
            NoisySum(name=MEANS, clip=math.hypot(1, config.count_weight), ratio=config.means_noise),
            NoisySum(name=COVARIANCES, clip=rest**2),
        )

    @property
    def refiner(self) -> Refiner[Any]:
        """The detail stage."""
        return self.detail

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Sets every class to the mean and covariance of public images; see `Method.prepare`.

        Raises:
            ConfigError: there is no public dataset.
        """
        public = required(public)
        count = min(PUBLIC, len(public))
        images = public.batch([i * len(public) // count for i in range(count)]).images  # of all classes, even if sorted
        assert images is not None
        self.model.copy(images)

    def prepare_sampling(self, public: ImageDataset | None, run: RunContext) -> None:
        """Trains the refiner on public images; see `Method.prepare_sampling`."""
        from dpbench.refiners.degrade import BlockMeans

        self.detail.prepare(required(public), BlockMeans(self.config.levels, self.config.noise), run)

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Releases means, then covariances; see `Method.fit`."""
        c = self.config
        counts = self.model.release_means(private, MEANS, c.clip * largest_norm(c, self.spec), c.count_weight)
        self.model.release_covariances(private, COVARIANCES, counts, c.pooling)

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """Draws coarse images and refines them; see `Method.sample`."""
        from dpbench.models.image_range import to_uint8

        draws = self.detail.draws
        coarse = self.model.sample(conditions, draws, run.generator).to(run.device).unflatten(0, (-1, draws))
        return to_uint8(self.detail(coarse, self.spec.resolution, run))

    def state_dict(self) -> dict[str, Tensor]:
        """Means, roots of the covariances, and the refiner's weights."""
        return self.model.state_dict() | joined({"refiner": self.detail.state_dict()})

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Method.load_state_dict`."""
        self.model.load_state_dict(state)
        self.detail.load_state_dict(part_of(state, "refiner"))

    def parameters(self) -> tuple[int, int]:
        """(number of values in means and covariances, the same plus the refiner's weights)."""
        classes, d = self.model.means.shape
        private = classes * d * (d + 3) // 2
        return private, private + self.detail.parameters()


def largest_norm(config: CentralWaveletConfig, spec: DatasetSpec) -> float:
    """The norm of a white coarse image."""
    return math.sqrt(math.prod(config.coarse_shape(spec)))

"""DP-Kernel (Jiang et al., "Functional Renyi Differential Privacy for Generative Modeling"): fresh kernel means.

The kernel mean of the private images is a function. Training releases it several times, at the current generated images
and at public ones, with noise that has the kernel as its covariance. Between releases, the generator minimises the
maximum mean discrepancy (MMD) to it, which is post-processing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.method import Preset
from dpbench.methods.cores.matching.matching_method import MatchingMethod
from dpbench.methods.cores.matching.matching_settings import EMBEDDING, MatchingConfig
from dpbench.privacy.mechanisms.mechanism import NoisySum

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.methods.cores.matching.kernel_features import KernelFeatures
    from dpbench.privacy.private_data import PrivateData


@dataclass(frozen=True)
class DPKernelConfig(MatchingConfig):
    """Settings of DP-Kernel."""

    releases: int = option(8, "releases of the kernel means, spread evenly over the generator's steps", low=1)
    kept: int = option(5, "number of latest releases; each step of the generator matches one of them", low=1)
    rate: float = option(1.0, "Poisson sampling rate of each release", above=0, high=1)
    bandwidths: tuple[float, ...] = option(
        (0.1, 0.025), "kernel variance σ² per pixel in [0, 1], one per scale; 0.1 · 32² is about 102", above=0
    )
    jitter: float = option(0.3, "standard deviation of the smooth noise on a copy of each generated anchor", low=0)
    smooth: int = option(600, "public images of soft blobs among the anchors of a release", low=0)
    nearness: float = option(0.05, "loss weight of the part of a generated image that the anchors do not see", low=0)
    ridge: float = option(0.001, "λ > 0 added to the kernel matrix; keeps the noise where images coincide", above=0)

    def __post_init__(self) -> None:
        if not self.bandwidths:
            raise ConfigError("bandwidths needs at least one kernel variance, e.g. 0.06")
        if self.steps < self.releases:
            raise ConfigError(f"{self.releases} releases need as many steps, not {self.steps}; set more steps")

    def embedding_query(self, noise_multiplier: float | None = None) -> NoisySum:
        """The releases, each from its own Poisson sample; see `MatchingConfig.embedding_query`."""
        return replace(super().embedding_query(noise_multiplier), rate=self.rate, count=self.releases)


class DPKernel(MatchingMethod[DPKernelConfig]):
    """Noisy kernel means at generated images, released again as they improve, and a generator to match (DP-Kernel).

    With generated images Z and K(Z, Z) + λI = LLᵀ, each record contributes L⁻¹ k(Z, x), of norm at most √k(x, x) = 1,
    and a weighted count, to the row of its class. L times the noisy sum is the kernel mean at Z, with noise of
    covariance proportional to K(Z, Z) + λI. λ keeps the noise where generated images coincide. Z also contains copies
    of the generated images with smooth public noise, and public images of soft blobs, because a release shows only how
    the kernel mean changes in the directions of Z. Each step of the generator matches one of the last releases, and its
    loss penalises what their anchors do not see.
    """

    Config = DPKernelConfig
    version = "2"
    track = "none"
    paper = "Jiang et al., NeurIPS 2023"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset(tuning="hold-out of mnist train"),
        "small/shapes": Preset({"steps": 800}),
        "gpu": Preset({"releases": 20, "kept": 10, "steps": 6000, "batch": 600, "smooth": 2000, "width": 32}),
        "paper": Preset(
            {
                "releases": 20_000,  # published: one per step, each of 60 records; here one per ten steps, of 600
                "kept": 1,
                "jitter": 0.0,
                "smooth": 0,
                "nearness": 0.0,
                "ridge": 0.01,
                "steps": 200_000,
                "rate": 0.01,
                "batch": 60,
                "lr": 5e-5,
                "bandwidths": (1 / 4096, 4 / 4096, 16 / 4096, 64 / 4096, 256 / 4096),  # σ = 1 ... 16, pixels in [-1, 1]
            }
        ),
    }

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Like `MatchingMethod.fit`, but each step matches one of several releases."""
        self.model.learn(private, EMBEDDING, self.features, run, self.config.kept)

    def features(self, generated: Tensor, release: int) -> KernelFeatures:
        """See `MatchingMethod.features`: the anchors are generated images, noisy copies of them, and smooth images."""
        import torch

        from dpbench.methods.cores.matching.kernel_features import GRID, KernelFeatures, smooth_images, smooth_noise

        c, draws = self.config, torch.Generator().manual_seed(release)
        anchors = [generated]
        if c.jitter:
            anchors.append(generated + c.jitter * smooth_noise(generated.shape, GRID, draws).to(generated.device))
        anchors.append(smooth_images((c.smooth, *generated.shape[1:]), draws).to(generated.device))
        return KernelFeatures(torch.cat(anchors), c.bandwidths, c.ridge, c.nearness)

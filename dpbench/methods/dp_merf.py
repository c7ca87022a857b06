"""DP-MERF (Harder et al., arXiv 2002.11603): a generator trained to match a noisy mean embedding of the private data.

The embedding is the mean of random Fourier features per class. Matching it minimises a maximum mean discrepancy (MMD)
under a Gaussian kernel, or under the mean of several, and is post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.config import option
from dpbench.core.method import Preset
from dpbench.methods.cores.matching.matching_method import MatchingMethod
from dpbench.methods.cores.matching.matching_settings import EMBEDDING, FourierSettings, MatchingConfig
from dpbench.privacy.mechanisms.mechanism import NoisySum

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.methods.cores.matching.fourier_features import FourierFeatures


@dataclass(frozen=True)
class DPMERFConfig(FourierSettings, MatchingConfig):
    """Settings of DP-MERF."""

    bound: float = option(
        1.0,
        "bound on the features' norm, which is 1; 2 doubles the noise, as for the authors, who replace records",
        low=1,
    )

    def embedding_query(self, noise_multiplier: float | None = None) -> NoisySum:
        """See `MatchingConfig.embedding_query`; `bound` is at least the norm of the features."""
        norm = (self.bound**2 + self.count_weight**2) ** 0.5
        return NoisySum(name=EMBEDDING, clip=norm, noise_multiplier=noise_multiplier)


class DPMERF(MatchingMethod[DPMERFConfig]):
    """One noisy sum of random Fourier features per class, then a generator trained to match it (DP-MERF).

    Each record contributes one vector to the row of its class: its features (of norm 1) and a weighted count. The noisy
    sums are the only private release. The generator then minimises the MMD to them, which is post-processing.
    """

    Config = DPMERFConfig
    version = "2"
    track = "none"
    paper = "arXiv 2002.11603"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset({"bandwidths": (0.1, 0.025)}, tuning="hold-out of mnist train"),
        "small/shapes": Preset({"steps": 800}),
        "gpu": Preset({"features": 10_000, "steps": 6000, "batch": 1000, "width": 32}),
        "paper": Preset(
            {
                "features": 10_000,
                "bandwidths": (105 / 1024,),  # σ² = 105 for MNIST
                "steps": 3000,  # 5 epochs of 60,000 images
                "batch": 100,
                "lr": 0.01,
                "loss": "squared",
                "bound": 2.0,  # replacing a record moves a sum by twice its norm
            }
        ),
    }

    def features(self, generated: Tensor, release: int) -> FourierFeatures:
        """See `MatchingMethod.features`; the same for every release."""
        return self.config.fourier_features(math.prod(self.spec.shape), str(generated.device))

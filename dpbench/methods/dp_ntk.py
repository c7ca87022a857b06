"""DP-NTK (Yang et al., arXiv 2303.01687): a generator trained to match noisy mean neural tangent features.

The features of an image are the normalised gradient of a fixed random network with respect to its weights. Matching
their mean minimises a maximum mean discrepancy (MMD) under the neural tangent kernel, and is post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.config import option
from dpbench.core.method import Preset
from dpbench.methods.cores.matching.matching_method import MatchingMethod
from dpbench.methods.cores.matching.matching_settings import MatchingConfig

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.methods.cores.matching.tangent_features import TangentFeatures


@dataclass(frozen=True)
class DPNTKConfig(MatchingConfig):
    """Settings of DP-NTK."""

    hidden: int = option(100, "hidden units of the random network; it has pixels + 2 features per unit", low=1)
    outputs: int = option(10, "outputs of the random network, whose sum is differentiated", low=1)
    seed: int = option(0, "seed of the random network's weights (public)", low=0)


class DPNTK(MatchingMethod[DPNTKConfig]):
    """One noisy sum of neural tangent features per class, then a generator trained to match it (DP-NTK).

    Each record contributes one vector to the row of its class: the gradient of a random two-layer network at the image,
    scaled to norm 1, and a weighted count. The noisy sums over all records are the only private release. The network is
    public: its sizes and its seed are settings.
    """

    Config = DPNTKConfig
    version = "1"
    track = "none"
    paper = "arXiv 2303.01687"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset({"hidden": 400}, tuning="hold-out of mnist train"),
        "small/shapes": Preset({"hidden": 50, "steps": 800}),
        "gpu": Preset({"hidden": 400, "steps": 4000, "batch": 1000, "width": 32}),
        "paper": Preset({"hidden": 800, "outputs": 10, "steps": 2000, "batch": 5000, "lr": 0.01}),
    }

    def features(self, generated: Tensor, release: int) -> TangentFeatures:
        """See `MatchingMethod.features`; the same for every release."""
        from dpbench.methods.cores.matching.tangent_features import TangentFeatures

        c, device = self.config, str(generated.device)
        return TangentFeatures(math.prod(self.spec.shape), c.hidden, c.outputs, c.seed, device)

"""DP-FETA (Li et al., "From Easy to Hard", arXiv 2504.01395): a curriculum that starts with noisy central images.

A central image is the mean of a random subset of one class: easy to learn and cheap to release. The diffusion model is
warmed up on a few central images before DP-SGD training on the private images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.context import RunContext
from dpbench.core.method import Preset
from dpbench.core.specs import DatasetSpec, Request
from dpbench.methods.cores.diffusion.diffusion_method import DiffusionMethod
from dpbench.methods.cores.diffusion.diffusion_settings import ONE_GPU, PUBLISHED, DiffusionConfig
from dpbench.methods.cores.warm_up.warm_up_settings import ON_HANDWRITING, PUBLISHED_WARM_UP, WarmUpSettings
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.privacy.private_data import PrivateData


@dataclass(frozen=True)
class DPFETAConfig(WarmUpSettings, DiffusionConfig):
    """Settings of DP-FETA."""


class DPFETA(DiffusionMethod[DPFETAConfig]):
    """A diffusion model warmed up on noisy central images, then trained by DP-SGD (DP-FETA).

    Two mechanisms share the budget: noisy per-class sums of random subsets of the images at half resolution, and
    DP-SGD. The sums are divided by the expected number of records per class, not by the number drawn. The means are
    upsampled, filtered and augmented (post-processing). The noise of the first mechanism is fixed, so the second one
    gets the rest of the budget.
    """

    Config = DPFETAConfig
    version = "2"
    track = "none"
    paper = "arXiv 2504.01395"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset(ON_HANDWRITING, tuning="hold-out of mnist train"),
        "small/shapes": Preset({"batch": 512, "steps": 240, "warmup_steps": 200, "sampling_steps": 10}),
        "gpu": Preset({**ONE_GPU, "warmup_steps": 2000}),
        "gpu/mnist": Preset(ON_HANDWRITING),
        "paper": Preset({**PUBLISHED, **PUBLISHED_WARM_UP}),
    }

    @classmethod
    def plan(cls, config: DPFETAConfig, spec: DatasetSpec, request: Request) -> Plan:
        """The central images with fixed noise, and DP-SGD with the remaining budget."""
        return Plan(config.central_query(spec), *super().plan(config, spec, request).mechanisms)

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Warms up on the central images, then trains by DP-SGD; see `Method.fit`."""
        from dpbench.methods.cores.warm_up.warm_up import warm_up

        warm_up(self.model, private, self.config, run)
        super().fit(private, run)

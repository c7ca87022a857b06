"""DPDM (Dockhorn et al., arXiv 2210.09929): a diffusion model trained by DP-SGD from scratch.

It uses noise multiplicity: a record's gradient is averaged over K draws of noise level and noise before clipping. This
reduces the variance of the gradient at no privacy cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.method import Preset
from dpbench.methods.cores.diffusion.diffusion_method import DiffusionMethod
from dpbench.methods.cores.diffusion.diffusion_settings import ONE_GPU, PUBLISHED, DiffusionConfig


class DPDM(DiffusionMethod[DiffusionConfig]):
    """A diffusion model trained by DP-SGD from scratch, K noise draws per record (DPDM).

    A class-conditional U-Net in the EDM formulation. `views` is K: each record's gradient is averaged over K draws of
    noise level and noise, then clipped.
    """

    version = "1"
    track = "none"
    paper = "arXiv 2210.09929"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset(tuning="hold-out of mnist train"),
        "small/shapes": Preset({"batch": 512, "steps": 240, "sampling_steps": 10}),
        "gpu": Preset(ONE_GPU),
        "paper": Preset(PUBLISHED),
    }

"""Public diffusion upscalers in the format of diffusers' pipelines, such as latent diffusion (arXiv 2112.10752)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.refiner import RefinerSettings
from dpbench.refiners.downloaded import DownloadedRefiner

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DiffusersConfig(RefinerSettings):
    """Settings of the diffusers refiner. A pipeline without text ignores prompt and guidance."""

    pipeline: str = option(
        "CompVis/ldm-super-resolution-4x-openimages", "a folder, or a repository in the Hugging Face hub's cache"
    )
    prompt: str = option("", "what the images show, for pipelines with a text encoder")
    sampling_steps: int = option(50, "network evaluations per image", low=1)
    guidance: float = option(1.0, "weight of classifier-free guidance towards the prompt; 1: none", low=0)
    batch: int = option(4, "images at a time", low=1)


class Diffusers(DownloadedRefiner[DiffusersConfig]):
    """A public diffusion upscaler from a pipeline of diffusers, such as Stable Diffusion's ×4 upscaler.

    Pipelines: StableDiffusionUpscalePipeline (×4), StableDiffusionLatentUpscalePipeline (×2) and
    LDMSuperResolutionPipeline (×4). A pipeline of another scale is applied repeatedly, and the result is resized.
    Nothing is downloaded. Images are padded to the size that the networks need, and cropped back. Made for a GPU.
    """

    Config = DiffusersConfig
    paper = "arXiv 2112.10752"

    @classmethod
    def source(cls, config: DiffusersConfig) -> tuple[str, str]:
        """See `DownloadedRefiner.source`."""
        from dpbench.models.pretrained.pipeline_folders import pipeline_sha256

        return Path(config.pipeline).name, pipeline_sha256(config.pipeline)

    def load(self) -> Any:
        """See `DownloadedRefiner.load`."""
        from dpbench.models.pretrained.upscaling_pipelines import load_upscaler

        return load_upscaler(self.config.pipeline)

    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """See `Refiner.refine`. Every image has its own seed.

        Raises:
            ConfigError: `size` is smaller than the coarse size.
        """
        import torch

        return torch.cat([self._refined(part, size, run) for part in coarse.split(self.config.batch)])

    def _refined(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        import torch

        from dpbench.models.pretrained.upscaling_pipelines import upscale
        from dpbench.refiners.networks.channels import per_channels
        from dpbench.refiners.networks.enlarging import enlarge

        c = self.config
        options = {"prompt": c.prompt, "num_inference_steps": c.sampling_steps, "guidance_scale": c.guidance}
        seeds = [int(torch.randint(2**63 - 1, (), generator=run.generator)) for _ in coarse]
        larger = partial(upscale, self.network(run), seeds=seeds, options=options)
        return per_channels(coarse.clamp(-1, 1), 3, partial(enlarge, size=size, network=larger)).clamp(-1, 1)

    def parameters(self) -> int:
        """Number of the weights of the pipeline's networks; 0 before they are loaded."""
        from dpbench.models.pretrained.whole_pipelines import weights

        return 0 if self._network is None else sum(p.numel() for p in weights(self._network))

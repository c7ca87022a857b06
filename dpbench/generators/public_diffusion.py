"""A diffusion model of public images; variations by partial noising (SDEdit, arXiv 2108.01073)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.public_generator import Candidates, PublicGenerator
from dpbench.models.guidance import check_guidance
from dpbench.models.unet_config import UNetConfig
from dpbench.training.augmentation import Augmentation

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.models.edm import Denoiser, SamplerConfig

UNKNOWN = -1
"""Origin of an image without a public label."""

CHUNK = 500
"""Images generated at a time."""


@dataclass(frozen=True)
class DiffusionGeneratorConfig:
    """Settings of the network, of its public training, and of the sampler."""

    sampling: ClassVar[tuple[str, ...]] = ("sampling_steps", "sigma_min", "guidance")
    """Settings that trained weights do not depend on."""

    steps: int = option(2500, "public training steps", low=1)
    batch: int = option(128, "public images per step", low=1)
    lr: float = option(1e-3, "peak learning rate of Adam", above=0, high=10)
    augmentation: Augmentation = option("flip", "augmentation of public images")
    channels: tuple[int, ...] = option((32, 32), "channels of the U-Net's levels, finest first", low=1)
    layers: int = option(1, "residual blocks per level of the U-Net", low=1)
    attention: int = option(0, "number of coarsest levels with self-attention", low=0)
    patch: int = option(4, "side of the pixel patches folded into the U-Net's input channels", low=1)
    sigma_data: float = option(0.2, "data standard deviation assumed by the preconditioning", above=0)
    p_mean: float = option(0.5, "mean of ln σ for the training noise levels", low=-10, high=10)
    p_std: float = option(1.4, "standard deviation of ln σ for the training noise levels", above=0, high=10)
    label_dropout: float = option(0.1, "probability of dropping a public label in training", low=0, below=1)
    sampling_steps: int = option(
        16, "network evaluations per random image; a variation of degree g needs g times as many", low=1
    )
    sigma_min: float = option(0.2, "smallest noise level; larger after short training", above=0, below=80)
    guidance: float = option(1.0, "weight of classifier-free guidance towards the public label; 1 disables it", low=0)

    def __post_init__(self) -> None:
        _ = self.unet  # the constructor checks the sizes
        check_guidance(self.guidance, self.label_dropout)

    @property
    def unet(self) -> UNetConfig:
        """Sizes of the U-Net."""
        return UNetConfig(self.channels, self.layers, self.attention, self.patch)

    def training_settings(self) -> dict[str, Any]:
        """The settings that trained weights depend on."""
        names = [field.name for field in fields(DiffusionGeneratorConfig) if field.name not in self.sampling]
        return {name: getattr(self, name) for name in names}


class DiffusionGenerator(PublicGenerator[DiffusionGeneratorConfig]):
    """A diffusion model trained on the public source; a variation adds noise to an image and removes it again.

    With public labels it is conditional: a random image has a random public class, which its variations keep. The
    degree of a variation is the share of the sampling path that it covers: the published start index, counted from the
    other end.
    """

    Config = DiffusionGeneratorConfig
    paper = "arXiv 2305.15560"
    _denoiser: Denoiser | None = None

    @classmethod
    def check_shape(cls, config: DiffusionGeneratorConfig, shape: tuple[int, int, int]) -> None:
        """See `PublicGenerator.check_shape`."""
        config.unet.check_divides(shape[1])

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """See `PublicGenerator.prepare`: trains the model, once per cache key."""
        key = {"public": public.fingerprint, "version": 1, **self.config.training_settings()}
        self.load_state_dict(
            run.cache.get("generator", key, lambda generator: self._trained(public, replace(run, generator=generator)))
        )

    def random(self, count: int, run: RunContext) -> Candidates:
        """See `PublicGenerator.random`: full noise, and a random public class if there are any."""
        import torch

        classes = self._model.null
        labels = torch.randint(classes, (count,), generator=run.generator) if classes else torch.full((count,), UNKNOWN)
        starts = torch.randn(count, *self.shape, generator=run.generator)
        return self._denoised(starts, labels, 1.0, run)

    def vary(self, candidates: Candidates, degree: float, run: RunContext) -> Candidates:
        """See `PublicGenerator.vary`: noise of the level σ(degree), x + σ ε, denoised in `degree` of the steps."""
        import torch

        from dpbench.models.image_range import to_unit

        noise = torch.randn(candidates.images.shape, generator=run.generator)
        starts = to_unit(candidates.images) / self._sampler(degree).sigma_max + noise
        return self._denoised(starts, candidates.origins[:, 0].long(), degree, run)

    def adopt(self, images: Tensor) -> Candidates:
        """See `PublicGenerator.adopt`: their class is unknown."""
        import torch

        return Candidates(images, torch.full((len(images), 1), float(UNKNOWN)))

    def state_dict(self) -> dict[str, Any]:
        """The denoiser's weights."""
        return {} if self._denoiser is None else dict(self._denoiser.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict()`."""
        self._denoiser = self._network(len(state["network.unet.class_embedding.weight"]) - 1)
        self._denoiser.load_state_dict(dict(state))

    @property
    def _model(self) -> Denoiser:
        assert self._denoiser is not None, "prepare comes first"
        return self._denoiser

    def _network(self, classes: int) -> Denoiser:
        from dpbench.models.edm import Denoiser
        from dpbench.models.unet import UNet

        return Denoiser(UNet(self.shape, classes + 1, self.config.unet), self.shape, classes, self.config.sigma_data)

    def _sampler(self, degree: float) -> SamplerConfig:
        """The last `degree` of the sampling path: noise levels in equal steps of σ^(1/ρ)."""
        from dpbench.models.edm import RHO, SIGMA_MAX, SamplerConfig

        c = self.config
        last, first = c.sigma_min ** (1 / RHO), SIGMA_MAX ** (1 / RHO)
        sigma = (last + degree * (first - last)) ** RHO
        steps = max(1, round(degree * c.sampling_steps))
        return SamplerConfig("ddim", steps, c.sigma_min, c.guidance, sigma_max=sigma)

    def _denoised(self, starts: Tensor, labels: Tensor, degree: float, run: RunContext) -> Candidates:
        """Images from noise in units of the first noise level; labels, int64 [n], may be `UNKNOWN`."""
        import torch

        from dpbench.models.image_range import to_uint8

        model, sampler = self._model.to(run.device).eval(), self._sampler(degree)
        known = torch.where(labels == UNKNOWN, model.null, labels)
        parts = []
        for start, label in zip(starts.split(CHUNK), known.split(CHUNK), strict=True):
            with run.autocast():
                images = model.denoise(start.to(run.device), label.to(run.device), sampler)
            parts.append(to_uint8(images).cpu())
        return Candidates(torch.cat(parts), labels[:, None].float())

    def _trained(self, public: ImageDataset, run: RunContext) -> dict[str, Tensor]:
        """Weights of a model trained on public images and their labels, if any."""
        import torch

        from dpbench.training.public_batches import PublicBatches

        model = self._network(public.spec.n_classes)
        batches = PublicBatches(public, self.config.augmentation, run.device, run.generator)

        def draw(size: int) -> tuple[Tensor, Tensor]:
            images, labels = batches.draw(size)
            return images, torch.full((size,), model.null, device=run.device) if labels is None else labels

        return trained(model, draw, self.config, run)


def trained(
    model: Denoiser, draw: Callable[[int], tuple[Tensor, Tensor]], config: DiffusionGeneratorConfig, run: RunContext
) -> dict[str, Tensor]:
    """Weights of a denoiser after its public training.

    Args:
        model: untrained.
        draw: number of images -> (images, float [b, c, h, w] in [-1, 1], and their conditions), on the run's device.
        config: settings of the training.
        run: device, generator and progress.
    """
    import torch

    from dpbench.models.edm import NoiseConfig
    from dpbench.training.loop import train
    from dpbench.training.public_steps import PublicSteps

    c, model = config, model.to(run.device).train()
    optimizer = torch.optim.Adam(model.parameters(), c.lr)
    noise = NoiseConfig(c.p_mean, c.p_std)

    def loss() -> Tensor:
        return model.loss(*draw(c.batch), run.generator, noise, c.label_dropout).mean()

    train(PublicSteps(loss, optimizer, c.steps, run), model, optimizer, run, "train the generator (public)")
    return dict(model.state_dict())

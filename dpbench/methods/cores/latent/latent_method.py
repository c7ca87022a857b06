"""Base of the methods that finetune a public latent diffusion model by DP-SGD: settings, plan and phases."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, TypeVar

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.method import required
from dpbench.core.specs import CONDITIONS, Condition, DatasetSpec, Request
from dpbench.core.track import Track, joint_track
from dpbench.methods.cores.latent.latent_settings import LatentConfig
from dpbench.methods.cores.model_method import ModelMethod
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.methods.cores.diffusion.diffusion_conditions import DiffusionCondition
    from dpbench.methods.cores.latent.latent_diffusion import LatentDiffusion
    from dpbench.privacy.private_data import PrivateData

TRAINING = "training"
"""Name of the DP-SGD mechanism."""

L = TypeVar("L", bound=LatentConfig)


class LatentMethod(ModelMethod[L]):
    """A latent diffusion model of classes or captions, pretrained on public images and finetuned by DP-SGD.

    Attributes:
        model: the networks, their training and their sampler.
    """

    Config = LatentConfig
    conditions: ClassVar[frozenset[Condition]] = CONDITIONS
    model: LatentDiffusion

    def __init__(self, config: L, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.cores.latent.latent_diffusion import LatentDiffusion

        self.model = LatentDiffusion(config, spec.shape, self._condition())
        self._trained = 0

    def _condition(self) -> DiffusionCondition:
        """The condition of an image: the words of a caption, or its class."""
        from dpbench.methods.cores.diffusion.diffusion_conditions import ByLabel, ByPublishedWords, ByWords

        if self.spec.condition != "captions":
            return ByLabel(self.spec.n_classes)
        return (ByPublishedWords if self.config.checkpoint else ByWords)(self.config, self.config.context)

    @classmethod
    def track_of(cls, config: L) -> Track:
        """The track is "foundation" with a checkpoint or a pretrained text encoder."""
        return joint_track("foundation" if config.checkpoint else cls.track, config.text_track)

    @classmethod
    def weights_of(cls, config: L) -> Mapping[str, str]:
        """The weights of the checkpoint, if there is one, and of the text encoder."""
        from dpbench.models.pretrained.pipeline_folders import pipeline_weights

        own = pipeline_weights(config.checkpoint) if config.checkpoint else {}
        return {**own, **config.text_weights}

    @classmethod
    def plan(cls, config: L, spec: DatasetSpec, request: Request) -> Plan:
        """One mechanism: DP-SGD on the weights that the method chooses.

        Raises:
            ConfigError: the networks do not fit the resolution, or there are no captions to encode.
        """
        config.check_captions(spec)
        if not config.checkpoint:
            config.side(spec.resolution)
        return Plan(config.mechanism(TRAINING, spec))

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Pretrains autoencoder and U-Net on public images unless there is a checkpoint; see `Method.prepare`.

        Raises:
            ConfigError: there is neither a public dataset nor a checkpoint.
        """
        if self.config.checkpoint:
            self.model.load_checkpoint(run)
            return
        self.model.prepare(required(public), run)

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Trains the chosen weights on the latents of the private images; see `Method.fit`."""
        from dpbench.models.lora import merge_lora

        latents = self.model.latents(private, run)
        self.choose_weights(latents, run)
        self._trained = sum(p.numel() for p in self.model.unet.parameters() if p.requires_grad)
        self.model.train_privately(latents, TRAINING, run)
        merge_lora(self.model.unet)
        self.model.unet.requires_grad_(True)

    @abstractmethod
    def choose_weights(self, latents: PrivateData, run: RunContext) -> None:
        """Sets `requires_grad` of the U-Net's parameters, and adds adapters, if any."""

    def parameters(self) -> tuple[int, int]:
        """(number of weights trained privately, number of weights of autoencoder and U-Net)."""
        return self._trained, sum(t.numel() for t in self.state_dict().values())

"""How the class of an image, or the words of one of its captions, enter a diffusion model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from dpbench.core.errors import ConfigError
from dpbench.core.specs import DatasetSpec
from dpbench.methods.cores.class_embeddings import initial_class_embeddings
from dpbench.methods.cores.image_conditions import Captions, Classes, ImageCondition
from dpbench.models.caption_context import CaptionContext, ProjectedWords, PublishedWords
from dpbench.models.caption_settings import CaptionSettings
from dpbench.models.caption_unet import CaptionUNet, pixel_caption_unet
from dpbench.models.class_unet import with_classes
from dpbench.models.condition_unet import ConditionUNet
from dpbench.models.unet import UNet
from dpbench.models.unet_config import UNetConfig
from dpbench.training.public_batches import Draw, PublicBatches


class DiffusionCondition(ImageCondition):
    """The condition y of a network F(x, noise, y), and the networks that take it.

    One value of y stands for no condition; dropout and guidance use it.
    """

    @property
    @abstractmethod
    def null(self) -> int:
        """The value of y that stands for no condition."""

    @abstractmethod
    def of_public(self, spec: DatasetSpec) -> DiffusionCondition:
        """The same kind of condition in a model of a public dataset."""

    def drawn(self, batches: PublicBatches) -> Draw:
        """Public images and their conditions."""

        def draw(size: int) -> tuple[Tensor, Tensor | None]:
            batch = batches.batch(size)
            assert batch.images is not None
            return batch.images, self.of(batch)

        return draw

    @abstractmethod
    def y(self, given: Tensor | None, count: int, generator: torch.Generator, device: torch.device | str) -> Tensor:
        """One condition for each row: [count, ...], on a device.

        Args:
            given: a result of `of` or `asked`.
            count: number of rows.
            generator: draws one of several captions.
            device: where the model is.
        """

    @abstractmethod
    def pixel_unet(self, shape: tuple[int, int, int], config: UNetConfig) -> nn.Module:
        """An untrained network for images of a shape (channels, height, width)."""

    @abstractmethod
    def latent_unet(self, unet: nn.Module) -> ConditionUNet:
        """A network of diffusers that takes y.

        Raises:
            ConfigError: the network cannot take y.
        """

    @abstractmethod
    def started(
        self, public: Mapping[str, Tensor], table: str, scatter: float, has_null: bool, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The initial weights of a private model.

        Args:
            public: weights of a model of public images.
            table: name of the class embeddings, if any.
            scatter: standard deviation of the private class embeddings around the mean of the public ones.
            has_null: whether the null condition was pretrained.
            generator: source of random embeddings (CPU).
        """


class ByLabel(Classes, DiffusionCondition):
    """y is a label, int64 [b]; the null label is the number of classes."""

    @property
    def null(self) -> int:
        """See `DiffusionCondition.null`."""
        return self.n_classes

    def of_public(self, spec: DatasetSpec) -> ByLabel:
        """See `DiffusionCondition.of_public`: its own classes."""
        return ByLabel(spec.n_classes)

    def y(self, given: Tensor | None, count: int, generator: torch.Generator, device: torch.device | str) -> Tensor:
        """See `DiffusionCondition.y`."""
        return (torch.full((count,), self.null) if given is None else given).to(device)

    def pixel_unet(self, shape: tuple[int, int, int], config: UNetConfig) -> nn.Module:
        """See `DiffusionCondition.pixel_unet`."""
        return UNet(shape, self.n_classes + 1, config)

    def latent_unet(self, unet: nn.Module) -> ConditionUNet:
        """See `DiffusionCondition.latent_unet`."""
        return with_classes(unet, self.n_classes + 1)

    def started(
        self, public: Mapping[str, Tensor], table: str, scatter: float, has_null: bool, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """See `DiffusionCondition.started`.

        `public` has the embeddings of k public classes and the null label, [k + 1, d]. The result has random ones
        around the mean of the classes, and the null label: [n_classes + 1, d].
        """
        known = public[table]
        null, classes = known[-1:], known[:-1] if len(known) > 1 else known
        if not has_null:
            null = classes.mean(0, keepdim=True)
        return {
            **public,
            table: torch.cat([initial_class_embeddings(classes, self.n_classes, scatter, generator), null]),
        }


class ByWords(Captions, DiffusionCondition):
    """y is the words of one caption, float [b, words, d], which cross-attention sees; 0 where there is no word.

    Args:
        settings: the text encoder and sizes.
        width: size of a vector that cross-attention sees.
    """

    null = 0

    def __init__(self, settings: CaptionSettings, width: int):
        super().__init__(settings)
        self._width = width

    @property
    def key(self) -> Mapping[str, Any]:
        """See `ImageCondition.key`."""
        return {**super().key, "context": self._width}

    def of_public(self, spec: DatasetSpec) -> ByWords:
        """See `DiffusionCondition.of_public`: words mean the same in all data."""
        return self

    def y(self, given: Tensor | None, count: int, generator: torch.Generator, device: torch.device | str) -> Tensor:
        """See `DiffusionCondition.y`."""
        return self.words(self.one(given, count, generator).to(device))

    def pixel_unet(self, shape: tuple[int, int, int], config: UNetConfig) -> nn.Module:
        """See `DiffusionCondition.pixel_unet`."""
        return pixel_caption_unet(shape, config, self._context(), self._width)

    def latent_unet(self, unet: nn.Module) -> ConditionUNet:
        """See `DiffusionCondition.latent_unet`."""
        return CaptionUNet(unet, self._context())

    def _context(self) -> CaptionContext:
        return ProjectedWords(self.text.length, self.text.dim, self._width)

    def started(
        self, public: Mapping[str, Tensor], table: str, scatter: float, has_null: bool, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """See `DiffusionCondition.started`: as pretrained."""
        return dict(public)


class ByPublishedWords(ByWords):
    """Like `ByWords`, for a published network, which sees the words as its own text encoder returns them."""

    def latent_unet(self, unet: Any) -> ConditionUNet:
        """See `DiffusionCondition.latent_unet`."""
        takes_captions = isinstance(unet, UNet2DConditionModel)
        if not takes_captions:
            raise ConfigError("the checkpoint takes no captions; name a text-to-image pipeline, or use no checkpoint")
        width, name, dim = unet.config.cross_attention_dim, self._settings.text.name, self.text.dim
        if width != dim:
            raise ConfigError(
                f"the checkpoint takes word vectors of size {width}, but those of text.name={name} have size {dim}; "
                "set text.name and text.weights to its own text encoder"
            )
        return super().latent_unet(unet)

    def _context(self) -> CaptionContext:
        return PublishedWords(self.words(self.empty())[0])

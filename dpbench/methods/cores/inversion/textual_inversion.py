"""Textual inversion (Gal et al., arXiv 2208.01618) of single private images, and noisy sums of its vectors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, Conditions, DatasetSpec
from dpbench.methods.cores.class_sums import class_sums
from dpbench.methods.cores.inversion.inversion_settings import InversionConfig
from dpbench.methods.cores.inversion.prompted_generators import PromptedGenerator, prompted_generator
from dpbench.models.image_range import unit_images
from dpbench.privacy.private_data import PrivateData

PROMPTS = "prompts"


class TextualInversion:
    """A frozen public generator, and the vector of norm 1 that prompts it for each class.

    Args:
        config: settings of the inversion and the generator.
        spec: the dataset's public declaration.

    Attributes:
        generator: public.
        prompts: [classes, d].

    Raises:
        ConfigError, NotInstalled: see `prompted_generator`.
    """

    def __init__(self, config: InversionConfig, spec: DatasetSpec):
        self.config = config
        self.generator = prompted_generator(config, spec.shape)
        self.prompts = torch.zeros(max(1, spec.n_classes), self.generator.known.shape[1])

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Trains the generator on public images if needed, and sets the prompts to random known vectors."""
        self.generator.prepare(public, run)
        known = self.generator.known
        self.prompts = known[torch.randint(len(known), (len(self.prompts),), generator=run.generator)]

    def adapt(self, private: PrivateData, mechanism: str, run: RunContext) -> None:
        """Sets the prompts to the directions of the noisy sums of the records' vectors.

        A record contributes one vector of norm 1 to the row of its class. Only the direction of a sum is used, so the
        number of records in a class is not needed.

        Args:
            private: the sensitive records.
            mechanism: name of a `NoisySum` with clip 1 in the plan.
            run: device and generator.
        """
        generator = self.generator.to(private.device).eval().requires_grad_(False)

        def vectors(batch: Batch, draws: torch.Generator) -> Tensor:
            return inverted(generator, unit_images(batch), self.config, draws)

        inversions = private.derive(vectors, self.config.inversion_batch, generator=run.generator)
        self.prompts = F.normalize(class_sums(inversions, mechanism, _derived)).cpu()

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]."""
        prompts = self.prompts[conditions.class_rows].to(run.device)
        with run.autocast():
            return self.generator.to(run.device).eval().sample(prompts, run)

    def state_dict(self) -> dict[str, Tensor]:
        """The public generator and the prompts."""
        return {**self.generator.state_dict(), PROMPTS: self.prompts}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        weights = dict(state)
        self.prompts = weights.pop(PROMPTS)
        self.generator.restore(weights)


def inverted(generator: PromptedGenerator, images: Tensor, config: InversionConfig, draws: torch.Generator) -> Tensor:
    """The vectors of norm 1 optimised for the generator's loss on each image: [b, d].

    The losses of the images are summed, and Adam treats every coordinate separately, so the vector of an image depends
    only on that image and its noise. All vectors start from the mean of the generator's known vectors.

    Args:
        generator: frozen.
        images: float [b, c, h, w] in [-1, 1].
        config: steps and learning rate.
        draws: source of time steps and noise.
    """
    clean = generator.clean(images)
    with torch.enable_grad():
        start = F.normalize(generator.known.mean(0), dim=0)
        vectors = start.expand(len(images), -1).clone().requires_grad_()
        adam = torch.optim.Adam([vectors], config.inversion_lr)
        for _ in range(config.inversion_steps):
            loss = generator.loss(clean, F.normalize(vectors), draws).sum()
            (vectors.grad,) = torch.autograd.grad(loss, vectors)
            adam.step()
    return F.normalize(vectors.detach())


def _derived(batch: Batch) -> Tensor:
    assert batch.derived is not None
    return batch.derived

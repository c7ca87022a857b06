"""A method that chooses: of two candidates made from public images it keeps the one that more private records confirm.

The choice depends on private records, so it is a mechanism of the plan like any other: it has noise, and it costs.

dpbench run --plugin plugin_choice.py --method choice --eps 1,10
"""

import math

import torch
from torch import Tensor

from dpbench import METHODS, Batch, Conditions, ConfigError, Method, NoisySum, Plan, PrivateData


@METHODS.register("choice")
class Choice(Method):
    """Two public mean images, dark and bright; private records say which of the two classes is which."""

    track = "images"

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        if spec.n_classes != 2:
            raise ConfigError(f"choice tells two classes apart, not {spec.n_classes}")
        return Plan(NoisySum(name="confirmations", clip=math.sqrt(2)))

    def prepare(self, public, run) -> None:
        images = public.batch(range(len(public))).images.float()
        brightness = images.mean((1, 2, 3))
        bright = brightness > brightness.mean()
        means = torch.stack([images[bright].mean(0), images[~bright].mean(0)])
        self.candidates = [means, means.flip(0)]  # [classes, c, h, w] each: the two ways to name the means
        self.means = self.candidates[0]

    def fit(self, private: PrivateData, run) -> None:
        """Keeps the candidate with the larger noisy number of confirmations.

        Sensitivity: a record confirms a candidate if its own class's mean is the nearest one. It contributes one 0 or
        1 per candidate, a vector of norm at most √2, which is the mechanism's clip. The noisy counts are a Gaussian
        mechanism; the larger of them is post-processing.
        """

        def confirms(batch: Batch) -> Tensor:  # [b, candidates]
            pixels = batch.images.float().flatten(1)
            distances = [torch.cdist(pixels, means.flatten(1).to(pixels.device)) for means in self.candidates]
            nearest = torch.stack(distances, 1).argmin(2)
            return (nearest == batch.labels[:, None]).float()

        counts = private.noisy_sum("confirmations", confirms)
        self.means = self.candidates[int(counts.argmax())]

    def sample(self, conditions: Conditions, run) -> Tensor:
        images = self.means[list(conditions.labels)]
        noise = torch.randn(images.shape, generator=run.generator)
        return (images + 20 * noise).round().clamp(0, 255).to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        return {"means": self.means}

    def load_state_dict(self, state) -> None:
        self.means = state["means"]

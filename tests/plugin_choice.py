"""A method that chooses: of two candidates made from public images it keeps the one that more private records confirm.

The choice depends on private records, so it is a mechanism of the plan like any other: it has noise, and it costs.

dpbench run --plugin plugin_choice.py --method choice --eps 1,10
"""

import torch
from torch import Tensor

from dpbench import METHODS, Batch, Conditions, ConfigError, Method, NoisyMax, Plan, PrivateData


@METHODS.register("choice")
class Choice(Method):
    """Two public mean images, dark and bright; private records say which of the two classes is which."""

    track = "images"

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        if spec.n_classes != 2:
            raise ConfigError(f"choice tells two classes apart, not {spec.n_classes}")
        return Plan(NoisyMax(name="confirmations", clip=1.0, candidates=2))

    def prepare(self, public, run) -> None:
        images = public.batch(range(len(public))).images.float()
        brightness = images.mean((1, 2, 3))
        bright = brightness > brightness.mean()
        means = torch.stack([images[bright].mean(0), images[~bright].mean(0)])
        self.candidates = [means, means.flip(0)]  # [classes, c, h, w] each: the two ways to name the means
        self.means = self.candidates[0]

    def fit(self, private: PrivateData, run) -> None:
        """Keeps the candidate with the larger noisy number of confirmations.

        A record gives a candidate the score 1, the mechanism's clip, if its own class's mean is the nearest one.
        """

        def confirms(batch: Batch) -> Tensor:  # [b, candidates]
            pixels = batch.images.float().flatten(1)
            distances = [torch.cdist(pixels, means.flatten(1).to(pixels.device)) for means in self.candidates]
            nearest = torch.stack(distances, 1).argmin(2)
            return (nearest == batch.labels[:, None]).float()

        self.means = self.candidates[private.noisy_max("confirmations", confirms)]

    def sample(self, conditions: Conditions, run) -> Tensor:
        images = self.means[list(conditions.labels)]
        noise = torch.randn(images.shape, generator=run.generator)
        return (images + 20 * noise).round().clamp(0, 255).to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        return {"means": self.means}

    def load_state_dict(self, state) -> None:
        self.means = state["means"]

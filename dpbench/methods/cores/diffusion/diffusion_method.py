"""Base of the methods that train a pixel diffusion model with DP-SGD: settings, plan and phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from dpbench.core.context import RunContext
from dpbench.core.specs import DatasetSpec, Request
from dpbench.methods.cores.diffusion.diffusion_settings import DiffusionConfig
from dpbench.methods.cores.model_method import ModelMethod
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.methods.cores.diffusion.diffusion_conditions import DiffusionCondition
    from dpbench.methods.cores.diffusion.diffusion_model import DiffusionModel
    from dpbench.privacy.private_data import PrivateData

TRAINING = "training"
"""Name of the DP-SGD mechanism."""

D = TypeVar("D", bound=DiffusionConfig)


class DiffusionMethod(ModelMethod[D]):
    """A pixel diffusion model with all weights trained by DP-SGD.

    Attributes:
        model: the network, its training and its sampler.
    """

    Config = DiffusionConfig
    model: DiffusionModel

    def __init__(self, config: D, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.cores.diffusion.diffusion_model import DiffusionModel

        self.model = DiffusionModel(config, spec.shape, self._condition())

    def _condition(self) -> DiffusionCondition:
        """The condition of an image: its class."""
        from dpbench.methods.cores.diffusion.diffusion_conditions import ByLabel

        return ByLabel(self.spec.n_classes)

    @classmethod
    def plan(cls, config: D, spec: DatasetSpec, request: Request) -> Plan:
        """One mechanism: DP-SGD on all weights.

        Raises:
            ConfigError: the network does not fit the resolution.
        """
        config.unet.check_divides(spec.resolution)
        return Plan(config.mechanism(TRAINING, spec))

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Trains all weights on the private images; see `Method.fit`."""
        self.model.train_privately(private, TRAINING, run)

"""DPAgg-TI (Peetathawatchai et al., arXiv 2411.14639): a public generator prompted with a noisy sum of conditions.

Made for small sets of images of one style.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.method import Preset
from dpbench.core.specs import DatasetSpec, Request
from dpbench.core.track import Track
from dpbench.methods.cores.inversion.inversion_settings import EMBEDDINGS, InversionConfig
from dpbench.methods.cores.model_method import ModelMethod
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.methods.cores.inversion.textual_inversion import TextualInversion
    from dpbench.privacy.private_data import PrivateData


class DPAggTI(ModelMethod[InversionConfig]):
    """A public generator prompted with the noisy sum of embeddings inverted from private images (DPAgg-TI).

    For each private image, the condition of a frozen generator is optimised so that the generator finds the image
    likely. The resulting vectors, scaled to norm 1, are summed per class, once, over all records and with noise. The
    generator is then prompted with the directions of the sums. It is a diffusion model of public images with one vector
    per class, or a diffusers pipeline (`checkpoint`).
    """

    Config = InversionConfig
    version = "1"
    track = "images"
    paper = "arXiv 2411.14639"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset({"augmentation": "strokes", "inversion_steps": 10}),
        "small/shapes": Preset({"public_steps": 600, "sampling_steps": 10, "inversion_steps": 5}),
        "small/pictograms": Preset(
            {
                **{"channels": (48, 48), "sigma_data": 0.5, "public_steps": 4000},  # vivid colours, 300 styles
                **{"inversion_steps": 100, "sigma_min": 0.1},
            }
        ),
        "gpu": Preset(
            {
                **{"channels": (64, 128), "attention": 1, "patch": 2, "public_steps": 6000, "public_batch": 256},
                **{"inversion_steps": 100, "inversion_batch": 512, "sampling_steps": 32, "sigma_min": 0.05},
            }
        ),
        "gpu/mnist": Preset({"augmentation": "strokes"}),
        "paper": Preset(
            {
                "checkpoint": "stable-diffusion-v1-5/stable-diffusion-v1-5",
                **{"inversion_steps": 2000, "inversion_lr": 5e-3, "inversion_batch": 16},  # ours: no code was found
                **{"sampling_steps": 50, "guidance": 1.0},
            }
        ),
    }

    model: TextualInversion

    def __init__(self, config: InversionConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.cores.inversion.textual_inversion import TextualInversion

        self.model = TextualInversion(config, spec)

    @classmethod
    def track_of(cls, config: InversionConfig) -> Track:
        """The track is "foundation" with a checkpoint."""
        return "foundation" if config.checkpoint else cls.track

    @classmethod
    def weights_of(cls, config: InversionConfig) -> Mapping[str, str]:
        """The weights of the checkpoint, if there is one."""
        from dpbench.models.pretrained.pipeline_folders import pipeline_weights

        return pipeline_weights(config.checkpoint) if config.checkpoint else {}

    @classmethod
    def plan(cls, config: InversionConfig, spec: DatasetSpec, request: Request) -> Plan:
        """One release over all records.

        Raises:
            ConfigError: the generator does not fit the resolution.
        """
        config.check_sizes(spec)
        return Plan(config.mechanism())

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Trains the generator on public images and their labels, unless there is a checkpoint; see `Method.prepare`.

        Raises:
            ConfigError: there are no public images with classes.
        """
        self.model.prepare(public, run)

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Inverts every record inside the vault, and releases the noisy sums; see `Method.fit`."""
        self.model.adapt(private, EMBEDDINGS, run)

    def parameters(self) -> tuple[int, int]:
        """(number of released values, number of all values)."""
        return self.model.prompts.numel(), super().parameters()[1]

"""DP-RDM (Lebensold et al., arXiv 2403.14421): a public diffusion model given noisy means of private images.

A retrieval-augmented diffusion model (arXiv 2204.11824) is trained on public images to draw an image from the mean
embedding of its neighbours. Private images are never trained on; they only answer nearest-neighbour queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.method import Preset, required
from dpbench.core.specs import DatasetSpec, Request
from dpbench.methods.cores.model_method import ModelMethod
from dpbench.methods.cores.retrieval.retrieval_settings import RETRIEVAL, RetrievalConfig
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.methods.cores.retrieval.retrieval_diffusion import RetrievalDiffusion
    from dpbench.privacy.private_data import PrivateData


class DPRDM(ModelMethod[RetrievalConfig]):
    """A public diffusion model conditioned on noisy means of the nearest private images (DP-RDM).

    A query is the embedding of a public image. It takes a fresh Poisson sample of the private images of a class,
    averages the embeddings of the k nearest ones, and adds noise. The model samples images given these means, or given
    their mixture with the means of public neighbours (`private_weight`). The number of queries is fixed beforehand; a
    noisy mean may be used for any number of images. Embeddings are coordinates along principal components of public
    images.
    """

    Config = RetrievalConfig
    version = "2"
    track = "images"
    paper = "arXiv 2403.14421"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset({"augmentation": "strokes"}, tuning="hold-out of mnist train"),
        "small/shapes": Preset({"public_steps": 600, "rate": 0.05, "sampling_steps": 10}),
        "gpu": Preset(
            {
                **{"channels": (64, 128), "attention": 1, "patch": 2, "public_steps": 6000, "public_batch": 256},
                **{"queries": 200, "sampling_steps": 32, "sigma_min": 0.05},
            }
        ),
        "gpu/mnist": Preset({"augmentation": "strokes"}),
        "paper": Preset(
            {
                **{"channels": (192, 384, 576, 960), "layers": 2, "attention": 3, "patch": 1},
                **{"sigma_data": 0.5, "p_mean": -1.2, "p_std": 1.2},  # ours: the paper's model has discrete time steps
                **{"public_steps": 200_000, "public_batch": 1280, "public_lr": 1e-4},  # its number of steps is ours
                **{"pool": 100_000, "components": 256},
                **{"queries": 1000, "rate": 0.01, "neighbours": 18, "shrink": False},
                **{"sampler": "ddim", "sampling_steps": 100, "sigma_min": 0.002},
            }
        ),
    }

    model: RetrievalDiffusion

    def __init__(self, config: RetrievalConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.cores.retrieval.retrieval_diffusion import RetrievalDiffusion

        self.model = RetrievalDiffusion(config, spec)

    @classmethod
    def plan(cls, config: RetrievalConfig, spec: DatasetSpec, request: Request) -> Plan:
        """One mechanism, with as many releases as queries per class.

        Raises:
            ConfigError: the sizes do not suit the images, or a sample has fewer records than a query averages.
        """
        config.check_sizes(spec)
        return Plan(config.mechanism(spec))

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Trains the model on public images, and draws the queries from them; see `Method.prepare`.

        Raises:
            ConfigError: there is no public dataset.
        """
        self.model.prepare(required(public), run)

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Releases the noisy means; see `Method.fit`."""
        self.model.retrieve(private, RETRIEVAL)

    def parameters(self) -> tuple[int, int]:
        """(number of released values, number of all values)."""
        return self.model.prompts.numel(), super().parameters()[1]

"""A diffusion model given the mean embedding of similar images (arXiv 2204.11824), trained on public images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Batch, Conditions, DatasetSpec
from dpbench.methods.cores.diffusion.diffusion_model import sampler_config
from dpbench.methods.cores.retrieval.principal_components import PrincipalComponents
from dpbench.methods.cores.retrieval.retrieval_settings import RetrievalConfig
from dpbench.models.edm import Denoiser, NoiseConfig
from dpbench.models.embedding_unet import EmbeddingUNet
from dpbench.models.image_range import to_uint8, to_unit, unit_images
from dpbench.privacy.clipping import clipped_rows
from dpbench.privacy.private_data import PrivateData
from dpbench.training.loop import train
from dpbench.training.public_batches import PublicBatches
from dpbench.training.public_steps import PublicSteps

CHUNK = 1_000
"""Images embedded or compared with all others at a time."""


MEASURED = 10_000
"""Maximum number of images from which the components are computed."""


class RetrievalDiffusion:
    """A U-Net denoiser conditioned on the mean embedding of an image's nearest neighbours.

    Args:
        config: settings of retrieval, network, training and sampler.
        spec: the dataset's public declaration.

    Attributes:
        components: computes the embeddings; public.
        denoiser: public.
        queries: [releases, classes, d], embeddings of public images; None before `prepare`.
        prompts: [releases, classes, d], the mean embeddings that images are sampled from.

    Raises:
        ConfigError: the network does not fit the resolution.
    """

    def __init__(self, config: RetrievalConfig, spec: DatasetSpec):
        self.config = config
        self.spec = spec
        self.components = PrincipalComponents(spec.shape, config.components)
        network = EmbeddingUNet(spec.shape, config.components, config.unet)
        self.denoiser = Denoiser(network, spec.shape, 0, config.sigma_data)
        self.queries: Tensor | None = None
        self.prompts = torch.zeros(config.queries, max(1, spec.n_classes), config.components)

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """Trains the denoiser on public images, and draws the queries from them, with their public neighbours."""
        key = {"public": public.fingerprint, **self.config.public_settings()}
        state = run.cache.get("retrieval-diffusion", key, lambda generator: self._trained(public, run, generator))
        embeddings, means = state.pop("embeddings"), state.pop("means")
        self._networks().load_state_dict(state)
        drawn = torch.randint(len(means), self.prompts.shape[:2], generator=run.generator)
        self.queries, self.prompts = embeddings[drawn], means[drawn]

    def _trained(self, public: ImageDataset, run: RunContext, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights of a new model trained on public images, with the embeddings and neighbour means of these images."""
        c, model = self.config, RetrievalDiffusion(self.config, self.spec)
        batches = PublicBatches(public, c.augmentation, "cpu", generator)
        passes = math.ceil(c.pool / len(public))
        records = torch.cat([torch.randperm(len(public), generator=generator) for _ in range(passes)])[: c.pool]
        images = torch.cat([to_uint8(_images(batches.at(part))) for part in records.split(CHUNK)])
        model.components.to(run.device).measure(to_unit(images[:MEASURED]).to(run.device))
        embeddings = torch.cat([model.embed(to_unit(part).to(run.device)) for part in images.split(CHUNK)])
        means = mean_of_nearest_others(embeddings, records, c.public_neighbours)
        denoiser = model.denoiser.to(run.device).train()
        optimizer = torch.optim.Adam(denoiser.parameters(), c.public_lr)

        def loss() -> Tensor:
            drawn = torch.randint(len(images), (c.public_batch,), generator=generator)
            return model.loss(to_unit(images[drawn]).to(run.device), means[drawn.to(run.device)], generator).mean()

        steps = PublicSteps(loss, optimizer, c.public_steps, run)
        title = "train the retrieval-conditioned diffusion model (public)"
        train(steps, denoiser, optimizer, replace(run, generator=generator), title)
        return {**model._networks().state_dict(), "embeddings": embeddings, "means": means}

    def embed(self, images: Tensor) -> Tensor:
        """Float [b, c, h, w] in [-1, 1] -> embeddings [b, d] of norm at most `clip`."""
        return clipped_rows(self.components(images), self.config.clip)

    def loss(self, images: Tensor, means: Tensor, generator: torch.Generator) -> Tensor:
        """The denoising loss of each image, [b]; noise of a random standard deviation is added to its mean embedding.

        Args:
            images: float [b, c, h, w] in [-1, 1].
            means: [b, d].
            generator: source of all draws (CPU).
        """
        c, b = self.config, len(images)
        deviation = c.condition_noise * torch.rand(b, 1, generator=generator)
        noise = deviation * torch.randn(means.shape, generator=generator)
        kept = torch.rand(b, 1, generator=generator) >= c.label_dropout
        given = torch.where(kept.to(means.device), means + noise.to(means), 0)
        return self.denoiser.loss(images, given, generator, NoiseConfig(c.p_mean, c.p_std))

    def retrieve(self, private: PrivateData, mechanism: str) -> None:
        """Runs the queries on the private records, and mixes the noisy means with those of public neighbours.

        Args:
            private: the sensitive records.
            mechanism: name of a `NearestMean` in the plan.

        Raises:
            ConfigError: `prepare` has not run.
        """
        if self.queries is None:
            raise ConfigError("the queries are public images: run prepare first (audit: --prepare)")
        self.components.to(private.device)
        embedded = private.derive(lambda batch: self.embed(unit_images(batch)))
        weight, means = self.config.private_weight, embedded.nearest_means(mechanism, self.queries).cpu()
        if self.config.shrink:
            planned = private.plan[mechanism]
            means = shrunk(means, planned.noise_scale_at(1) / self.config.neighbours)
        self.prompts = weight * means + (1 - weight) * self.prompts

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]. Each is conditioned on a random mean of its class."""
        drawn = torch.randint(len(self.prompts), (conditions.count,), generator=run.generator)
        prompts, denoiser = (
            self.prompts[drawn, conditions.class_rows].to(run.device),
            self.denoiser.to(run.device).eval(),
        )
        with run.autocast():
            return to_uint8(denoiser.sample(prompts, run.generator, sampler_config(self.config)))

    def state_dict(self) -> dict[str, Tensor]:
        """The public networks and the prompts."""
        return {**self._networks().state_dict(), "prompts": self.prompts}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        networks = dict(state)
        self.prompts = networks.pop("prompts")
        self._networks().load_state_dict(networks)

    def _networks(self) -> nn.ModuleDict:
        return nn.ModuleDict({"components": self.components, "denoiser": self.denoiser})


def shrunk(means: Tensor, deviation: float) -> Tensor:
    """Noisy means of several queries, each shrunk towards the average of its class as far as the noise suggests.

    The distance is multiplied by an estimate of (variance without noise) / variance per coordinate and class: empirical
    Bayes (Efron and Morris 1973).

    Args:
        means: [queries, classes, d].
        deviation: standard deviation of the noise on each coordinate.
    """
    centre = means.mean(0)
    apart = means - centre
    kept = 1 - deviation**2 / apart.square().mean(0).clamp_min(1e-12)
    return centre + kept.clamp(0, 1) * apart


def mean_of_nearest_others(embeddings: Tensor, records: Tensor, k: int) -> Tensor:
    """For each embedding, the mean of the k nearest embeddings of other records: [n, d] -> [n, d].

    Args:
        embeddings: [n, d].
        records: the public record that each embedding was made of, int64 [n]; a record may have several.
        k: number of neighbours.
    """
    means = []
    for part, own in zip(embeddings.split(CHUNK), records.split(CHUNK), strict=True):
        is_own = (own[:, None] == records).to(embeddings.device)
        apart = torch.cdist(part, embeddings).masked_fill(is_own, torch.inf)
        means.append(embeddings[apart.topk(k, largest=False).indices].mean(1))
    return torch.cat(means)


def _images(batch: Batch) -> Tensor:
    """The images of a batch."""
    assert batch.images is not None
    return batch.images

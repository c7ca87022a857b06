"""PrivImage (Li et al., arXiv 2311.12850): pretraining on the public images that look most like the private ones.

A private query finds the public classes that resemble each private class. The diffusion model is first trained on their
images under the label of the private class, which is post-processing, then on the private images by DP-SGD. Two options
come from RPGen (AAAI 2026): public images in the proportions of the query's histogram, and pretraining that is robust
to small changes of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from dpbench.core.config import option, values_of
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.method import Preset, required
from dpbench.core.specs import DatasetSpec, Request
from dpbench.methods.cores.diffusion.diffusion_method import DiffusionMethod
from dpbench.methods.cores.diffusion.diffusion_settings import ONE_GPU, PUBLISHED, DiffusionConfig
from dpbench.methods.cores.public_classes.classifier_settings import ClassifierTraining
from dpbench.methods.cores.public_training import PublicTraining
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.methods.cores.public_classes.public_classifier import PublicClassifier
    from dpbench.privacy.private_data import PrivateData

QUERY = "class votes"
"""Name of the mechanism that releases the histogram of votes."""

MNIST_FROM_OMNIGLOT = MappingProxyType({"augmentation": "strokes", "votes": 1})
"""For MNIST: 5% of Omniglot's 242 characters are about one per digit."""


@dataclass(frozen=True)
class PrivImageConfig(ClassifierTraining, PublicTraining, DiffusionConfig):
    """Settings of PrivImage."""

    select: Literal["top", "match"] = option(
        "top", "public images: from the classes with most votes, or from all in proportion to the votes (RPGen)"
    )
    votes: int = option(5, "select=top: public classes per private class, and votes per record; 5% of ImageNet", low=1)
    query_noise: float = option(50.0, "noise multiplier of the votes; their clip is √votes", above=0)
    public_steps: int = option(
        1500, "pretraining steps on all public images, shared by all trials; 0 as published", low=0
    )
    selected_steps: int = option(600, "training steps on the selected images, in every trial", low=1)
    robust: float = option(
        0.0, "training on selected images: radius of worst-case changes of the weights (RPGen); 0: none", low=0
    )
    scatter: float = option(
        1.0, "spread of the class embeddings around the public mean in the public reference; 0: identical", low=0
    )

    @property
    def votes_per_record(self) -> int:
        """Public classes that a record votes for."""
        return self.votes if self.select == "top" else 1


class Prepared(NamedTuple):
    """Results of `prepare` on the public images.

    Attributes:
        images: the public images.
        labels: int64 [n], their public labels.
        classifier: trained on them.
        embeddings: [public classes, d] of the shared model; None if it was not pretrained.
    """

    images: ImageDataset
    labels: Tensor
    classifier: PublicClassifier
    embeddings: Tensor | None


class PrivImage(DiffusionMethod[PrivImageConfig]):
    """A diffusion model pretrained on public images of the classes that private images resemble (PrivImage).

    Two mechanisms share the budget: a noisy histogram of the public classes that a public classifier sees in the
    private images, and DP-SGD. Pretraining on the selected images follows a private query, so it is part of each trial.
    It starts from a model of all public images, which trials share; the published method has no such model.
    """

    Config = PrivImageConfig
    version = "1"
    track = "images"
    paper = "arXiv 2311.12850"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset(
            {**MNIST_FROM_OMNIGLOT, "public_steps": 2500, "lr": 2e-3}, tuning="hold-out of mnist train"
        ),
        "small/shapes": Preset(
            {
                **{"classifier_steps": 600, "public_steps": 600, "selected_steps": 200},
                **{"batch": 512, "steps": 240, "sampling_steps": 10},
            }
        ),
        "gpu": Preset(
            {
                **ONE_GPU,
                **{"steps": 1000, "views": 1},
                **{"public_steps": 6000, "public_batch": 256, "selected_steps": 2000},
            }
        ),
        "gpu/mnist": Preset(MNIST_FROM_OMNIGLOT),
        "paper": Preset(
            {
                **PUBLISHED,
                "classifier": "resnet50",
                "classifier_steps": 62_500,  # 100 epochs of ImageNet's 1.28 million
                "classifier_batch": 2048,
                "classifier_lr": 0.01,
                "public_steps": 0,
                "selected_steps": 200_000,  # 3200 epochs of 5% of ImageNet
                "public_batch": 1024,
                "public_lr": 3e-4,
            }
        ),
    }

    def __init__(self, config: PrivImageConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        self._prepared: Prepared | None = None

    @classmethod
    def plan(cls, config: PrivImageConfig, spec: DatasetSpec, request: Request) -> Plan:
        """The votes with fixed noise, and DP-SGD with the remaining budget."""
        votes = NoisySum(name=QUERY, clip=math.sqrt(config.votes_per_record), noise_multiplier=config.query_noise)
        return Plan(votes, *super().plan(config, spec, request).mechanisms)

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Trains the classifier and, unless `public_steps` is 0, a model of all public images; see `Method.prepare`.

        Raises:
            ConfigError: there is no public dataset, or it has no labels or too few classes.
        """
        public = self._suitable(public)
        self._prepared = Prepared(public, *self._classifier(public, run), self._shared_model(public, run))

    def _suitable(self, public: ImageDataset | None) -> ImageDataset:
        """Returns the public source if it has labels."""
        public = required(public)
        if not public.spec.n_classes:
            raise ConfigError(
                f"privimage needs a labelled public source, and '{public.spec.name}' has no labels; name another one"
            )
        return public

    def _check_classes(self, name: str, available: int) -> None:
        """Checks that every private class can get public classes of its own, which select=match does not need."""
        private, each = max(1, self.spec.n_classes), self.config.votes_per_record
        if private * each > available and self.config.select == "top":
            needed = f"{each} public classes for each of {private} private ones, and '{name}' has images of {available}"
            raise ConfigError(f"privimage needs {needed}; name a source with more classes, or set fewer votes")

    def _classifier(self, public: ImageDataset, run: RunContext) -> tuple[Tensor, PublicClassifier]:
        """The labels of the public images, and a classifier trained on them."""
        from dpbench.methods.cores.public_classes.class_selection import public_labels
        from dpbench.methods.cores.public_classes.public_classifier import PublicClassifier

        c = self.config
        key: dict[str, Any] = {"public": public.fingerprint}
        labels = run.cache.get("labels", key, lambda g: {"labels": public_labels(public)})["labels"]
        self._check_classes(public.spec.name, len(labels.unique()))
        key |= {"augmentation": c.augmentation, **values_of(c, ClassifierTraining)}
        classifier = PublicClassifier(c.classifier, public.spec.n_classes)
        trained = run.cache.get(
            "classifier", key, lambda g: classifier.trained(public, c, c.augmentation, replace(run, generator=g))
        )
        classifier.load_state_dict(trained)
        return labels, classifier

    def _shared_model(self, public: ImageDataset, run: RunContext) -> Tensor | None:
        """Starts from a model of all public images, unless `public_steps` is 0; returns its class embeddings."""
        from dpbench.methods.cores.diffusion.diffusion_model import LABEL_EMBEDDING

        c = self.config
        if not c.public_steps:
            return None
        state = self.model.start_from_public(public, c, c.scatter, self.version, run)
        return state[LABEL_EMBEDDING][:-1]

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Queries which public classes look like the private ones, trains on their images, then trains by DP-SGD.

        Raises:
            ConfigError: `prepare` has not run.
        """
        if self._prepared is None:
            raise ConfigError("privimage trains on public images after its query: run prepare first (audit: --prepare)")
        self._train_on_selected(private, self._prepared, run)
        super().fit(private, run)

    def _train_on_selected(self, private: PrivateData, prepared: Prepared, run: RunContext) -> None:
        """Releases the votes and trains on the images that they select, labelled by private classes."""
        from dpbench.methods.cores.class_embeddings import assigned_class_embeddings
        from dpbench.methods.cores.public_classes.class_selection import SELECTIONS, AssignedImages, Votes
        from dpbench.training.public_batches import PublicBatches

        c = self.config
        counts = prepared.classifier.histogram(private, QUERY, c.votes_per_record)
        images = prepared.labels.bincount(minlength=counts.shape[1])
        votes = Votes(counts, images, c.votes_per_record, private.plan[QUERY].noise_scale_at(1))
        weights = SELECTIONS[c.select](votes)
        if prepared.embeddings is not None and self.spec.classes:
            self.model.set_class_embeddings(assigned_class_embeddings(prepared.embeddings, weights))
        batches = PublicBatches(prepared.images, c.augmentation, run.device, run.generator)
        draw = AssignedImages(batches, prepared.labels, weights, run.generator).draw
        title = "train on selected images (post-processing)"
        self.model.train_publicly(draw, c.public_batch, c.public_lr, c.selected_steps, run, title, c.robust)

"""A classifier trained on a labelled public source, and its votes on private images (PrivImage, arXiv 2311.12850)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch
from dpbench.methods.cores.class_sums import class_sums
from dpbench.methods.cores.public_classes.classifier_settings import ClassifierTraining
from dpbench.models.image_classifier import ImageClassifier
from dpbench.models.image_range import unit_images
from dpbench.privacy.private_data import PrivateData
from dpbench.training.augmentation import Augmentation
from dpbench.training.loop import train
from dpbench.training.public_batches import PublicBatches
from dpbench.training.public_steps import PublicSteps


class PublicClassifier:
    """Recognises public classes, also in private images.

    Args:
        network: a name in `image_classifier.NETWORKS`.
        classes: number of public classes.
    """

    def __init__(self, network: str, classes: int):
        self.model = ImageClassifier(network, classes)

    @classmethod
    def trained(
        cls, public: ImageDataset, settings: ClassifierTraining, augmentation: Augmentation, run: RunContext
    ) -> dict[str, Tensor]:
        """Weights of a classifier trained on public images and labels: SGD, momentum 0.9, weight decay 5e-4."""
        classifier = cls(settings.classifier, public.spec.n_classes)
        model = classifier.model.to(run.device).train()
        optimizer = torch.optim.SGD(model.parameters(), settings.classifier_lr, momentum=0.9, weight_decay=5e-4)
        batches = PublicBatches(public, augmentation, run.device, run.generator)

        def loss() -> Tensor:
            images, labels = batches.draw(settings.classifier_batch)
            assert labels is not None
            return F.cross_entropy(model(images), labels)

        steps = PublicSteps(loss, optimizer, settings.classifier_steps, run)
        train(steps, model, optimizer, run, "train the classifier (public)")
        return dict(model.state_dict())

    def histogram(self, private: PrivateData, mechanism: str, votes: int) -> Tensor:
        """Noisy number of votes of each private class for each public class: [classes, public classes] on the CPU.

        Data without classes have one row.

        Sensitivity: a record adds 1 for each of its `votes` most likely public classes, in the row of its own class:
        a vector of norm √votes.

        Args:
            private: the sensitive records.
            mechanism: name of a `NoisySum` with clip √votes in the plan.
            votes: public classes that a record votes for.
        """
        self.model.to(private.device).eval()
        return class_sums(private, mechanism, lambda batch: self.votes(batch, votes)).cpu()

    def votes(self, batch: Batch, votes: int) -> Tensor:
        """1 for the `votes` most likely public classes of each record, 0 for the others: [b, public classes]."""
        logits = self.model(unit_images(batch))
        return torch.zeros_like(logits).scatter(1, logits.topk(votes).indices, 1.0)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Loads the weights that `trained` returned."""
        self.model.load_state_dict(dict(state))

"""A sound metric, and for each check one that breaks its promise."""

from __future__ import annotations

import torch

from dpbench import Column, Metric, MissingScore


def pixels(images) -> torch.Tensor:
    return images.batch(range(len(images))).images.float()


class Brightness(Metric):
    """How far the mean brightness is off."""

    columns = (Column("brightness", "low", "difference of mean brightness"),)

    def compute(self, evaluation):
        return {"brightness": abs(float(pixels(evaluation.synthetic).mean() - pixels(evaluation.reference).mean()))}


class Undescribed(Brightness):
    __doc__ = ""


class AnotherColumn(Brightness):
    """It computes another column than it declares."""

    columns = (Column("darkness", "low", "difference of mean brightness"),)


class Unexplained(Brightness):
    """Its column says nothing."""

    columns = (Column("brightness", "low", ""),)


class NotFinite(Brightness):
    """It is never a number."""

    def compute(self, evaluation):
        return {"brightness": float("nan")}


class WrongWay(Brightness):
    """It declares that more difference is better."""

    columns = (Column("brightness", "high", "difference of mean brightness"),)


class FirstImage(Brightness):
    """It looks at the first image only."""

    def compute(self, evaluation):
        return {"brightness": float(pixels(evaluation.reference)[0].mean())}


class Unseeded(Brightness):
    """It draws from a generator of its own."""

    def compute(self, evaluation):
        evaluation.run.generator.seed()
        return {"brightness": float(torch.rand(1, generator=evaluation.run.generator))}


class NoProtocol(Brightness):
    """It draws at random and does not say how much."""

    def compute(self, evaluation):
        return {"brightness": float(torch.rand(1, generator=evaluation.run.generator))}


class NeedsClasses(Brightness):
    """It fails without labels."""

    def compute(self, evaluation):
        return {"brightness": float(evaluation.reference.batch([0]).labels.sum())}


class NoReason(Brightness):
    """It does not say what is missing."""

    def compute(self, evaluation):
        raise MissingScore("")


class PeeksAtTrain(Brightness):
    """It asks for train images without saying so."""

    def compute(self, evaluation):
        return {"brightness": float(pixels(evaluation.train).mean())}


class ClaimsTrain(Brightness):
    """It says that it looks at train images and does not."""

    reads_train = True


BROKEN: list[tuple[str, type[Brightness], str]] = [
    ("check_summary", Undescribed, "has no docstring"),
    ("check_columns", AnotherColumn, "declares darkness but has brightness"),
    ("check_columns", Unexplained, "has no help text"),
    ("check_columns", NotFinite, "is not finite"),
    ("check_direction", WrongWay, "high is better, but"),
    ("check_order", FirstImage, "in another order"),
    ("check_seeds", Unseeded, "other values for the same seed"),
    ("check_seeds", NoProtocol, "state in its protocol"),
    ("check_missing", NeedsClasses, "or refusing it with MissingScore"),
    ("check_missing", NoReason, "must say in one line"),
    ("check_reads_train", PeeksAtTrain, "uses the train split but does not declare"),
    ("check_reads_train", ClaimsTrain, "reads no train images but declares reads_train = True"),
    ("check_declared_without_torch", Brightness, "must need no torch"),
]
"""A check, a metric that fails it, and a part of the message."""

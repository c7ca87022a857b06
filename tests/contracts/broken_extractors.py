"""A sound extractor, and for each check one that breaks its promise."""

from __future__ import annotations

import itertools

from dpbench import Extractor


class Means(Extractor):
    """Means of an image's rows."""

    description = "row means"

    def __call__(self, images):
        return images.float().mean((1, 3))


class Undescribed(Means):
    __doc__ = ""


class Bytes(Means):
    """Its features are the bytes themselves."""

    def __call__(self, images):
        return images.flatten(1)


class NotFinite(Means):
    """It takes the logarithm of zero."""

    def __call__(self, images):
        return (0 * super().__call__(images)).log()


class Normalised(Means):
    """It centres features on the mean of the batch."""

    def __call__(self, images):
        features = super().__call__(images)
        return features - features.mean(0)


class Numbered(Means):
    """Its description counts its instances."""

    serial = itertools.count()

    def __init__(self, evaluation):
        super().__init__(evaluation)
        self.description = f"instance {next(self.serial)}"


class Blank(Means):
    """Its description says nothing."""

    description = ""


class Only32(Means):
    """It fails on images of other sizes."""

    def __call__(self, images):
        return super().__call__(images).reshape(len(images), 32)


class ReadsTrain(Means):
    """It looks at train images without saying so."""

    def __init__(self, evaluation):
        super().__init__(evaluation)
        evaluation.train.batch([0])


class ReadsReference(Means):
    """It looks at the images that are scored."""

    def __init__(self, evaluation):
        super().__init__(evaluation)
        evaluation.reference.batch([0])


class ClaimsTrain(Means):
    """It says that it looks at train images and does not."""

    reads_train = True


BROKEN: list[tuple[str, type[Means], str]] = [
    ("check_summary", Undescribed, "has no docstring"),
    ("check_features", Bytes, "must be float32"),
    ("check_features", NotFinite, "must be finite"),
    ("check_images_are_independent", Normalised, "from the others in the batch"),
    ("check_description", Numbered, "then as"),
    ("check_description", Blank, "in one line"),
    ("check_unsuitable_images", Only32, "or refusing them with MissingScore"),
    ("check_reads_train", ReadsTrain, "reads train images but declares reads_train = False"),
    ("check_reads_train", ReadsReference, "reads scored images"),
    ("check_reads_train", ClaimsTrain, "reads no train images but declares reads_train = True"),
]
"""A check, an extractor that fails it, and a part of the message."""

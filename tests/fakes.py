"""Tiny stand-ins for datasets, methods and metrics: a whole trial takes a fraction of a second."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import events
import torch
from torch import Tensor

from dpbench import (
    DPSGD,
    Batch,
    Column,
    Conditions,
    DataOptions,
    Dataset,
    DatasetSpec,
    ImageDataset,
    Method,
    Metric,
    MissingScore,
    NoisySum,
    Plan,
    Preset,
    encode_captions,
    option,
)
from dpbench.core.errors import ConfigError
from dpbench.core.files import digest
from dpbench.core.metric import Evaluation
from dpbench.core.specs import CONDITIONS


class TinyImages(ImageDataset):
    """Dark images of class "dark", bright ones of class "bright", 1 × 16 × 16; captions say the same."""

    def __init__(self, spec: DatasetSpec, count: int, seed: int):
        self.spec = spec
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(count) % 2
        noise = torch.randint(0, 60, (count, *spec.shape), generator=generator)
        self.images = (noise + 150 * self.labels[:, None, None, None]).to(torch.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int]) -> Batch:
        index = torch.as_tensor(list(indices), dtype=torch.long)
        labels = self.labels[index]
        if self.spec.caption_bytes:
            texts = [("a dark image", "a bright image")[label] for label in labels.tolist()]
            return Batch(self.images[index], encode_captions(texts, self.spec.caption_bytes))
        return Batch(self.images[index], labels if self.spec.classes else None)

    @property
    def fingerprint(self) -> str:
        return digest([self.images.sum().item(), len(self), self.spec.classes])


class Tiny(Dataset):
    """Dark and bright noise; `tiny:secret` is not declared public, `tiny:plain` and `tiny:captions` have no classes."""

    @property
    def spec(self) -> DatasetSpec:
        name = f"tiny:{self.argument}" if self.argument else "tiny"
        classes = None if self.argument in ("plain", "captions") else ("dark", "bright")
        size, public = self.options.resolution or 16, self.argument != "secret" or self.options.public_benchmark
        return DatasetSpec(name, 1, size, 200, 40, classes, public, 20 if self.argument == "captions" else 0)

    def open_train(self) -> ImageDataset:
        events.EVENTS.append("train")
        return TinyImages(self.spec, 200, 0)

    def open_test(self) -> ImageDataset:
        events.EVENTS.append("test")
        return TinyImages(self.spec, 40, 1)


class TinyPublic(Dataset):
    """Dark and bright noise that is public; `tiny-public:labelled` has labels."""

    public_only = True

    def __init__(self, argument: str, options: DataOptions):
        super().__init__(argument, options)

    @property
    def spec(self) -> DatasetSpec:
        name = f"tiny-public:{self.argument}" if self.argument else "tiny-public"
        classes = ("night", "day") if self.argument == "labelled" else None
        return DatasetSpec(name, 1, self.options.resolution or 16, 50, 10, classes, True)

    def open_train(self) -> ImageDataset:
        return TinyImages(self.spec, 50, 2)

    def open_test(self) -> ImageDataset:
        raise AssertionError("nobody tests on the public source")


@dataclass(frozen=True)
class FakeConfig:
    """Every way to misbehave is a setting."""

    spread: float = option(5.0, "pixel noise of the samples", low=0)
    batch: int = option(0, "expected batch of an additional DP-SGD mechanism; 0 for none")
    levels: int = option(1, "the resolution must divide by 2 to the power of this")
    fail: str = option("", "how to fail: interrupt | crash | skip | peek | diverge | floats | few")


class FakeMean(Method):
    """The noisy mean image of all classes.

    A longer explanation.
    """

    Config = FakeConfig
    track = "images"
    conditions = CONDITIONS
    paper = "nobody (2020)"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "loud": Preset({"spread": 20.0}, "public data"),
        "loud/tiny": Preset({"spread": 30.0}, "hold-out of tiny train"),
    }

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        if spec.resolution % 2**config.levels:
            raise ConfigError(f"{config.levels} levels do not divide a resolution of {spec.resolution}")
        mean = NoisySum(name="mean", clip=float(spec.resolution))
        batch = config.batch
        return (
            Plan(mean, DPSGD(name="steps", clip=1.0, n=spec.n_train, expected_batch=batch, steps=2))
            if batch
            else Plan(mean)
        )

    def prepare(self, public, run) -> None:
        events.EVENTS.append("prepare")
        assert public is not None
        self.mean = public.batch(range(10)).images.float().mean(0)
        self.start = torch.randn(3), torch.randn(3, generator=run.generator)

    def fit(self, private, run) -> None:
        events.EVENTS.append("fit")
        fail = self.config.fail
        if fail == "interrupt":
            raise KeyboardInterrupt
        if fail == "crash":
            raise RuntimeError("it broke\nin two lines")
        if fail == "skip":
            return
        if fail == "peek":
            private.unsafe_records("for a look")
        if fail == "warn":
            warnings.warn("careful now", stacklevel=1)
        with run.progress.phase("fitting", 1) as advance:
            total = private.noisy_sum("mean", lambda batch: batch.images.float() / 255)
            advance(note="ε 1")
        self.mean = 255 * total.cpu() / private.spec.n_train
        if fail == "diverge":
            self.mean[0, 0, :3] = torch.nan

    def sample(self, conditions: Conditions, run) -> Tensor:
        events.EVENTS.append("sample")
        if self.config.fail == "floats":
            return self.mean.expand(conditions.count, -1, -1, -1)
        noise = torch.randn(conditions.count, *self.spec.shape, generator=run.generator)
        images = (self.mean + self.config.spread * noise).clamp(0, 255).to(torch.uint8)
        return images[1:] if self.config.fail == "few" else images

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean": self.mean}

    def load_state_dict(self, state) -> None:
        self.mean = state["mean"]


class FakeAlone(FakeMean):
    """The same without public data."""

    track = "none"

    def prepare(self, public, run) -> None:
        assert public is None


class Brightness(Metric):
    """How far the mean brightness is off."""

    columns: ClassVar[tuple[Column, ...]] = (Column("brightness", "low", "difference of mean brightness"),)

    def compute(self, evaluation: Evaluation) -> Mapping[str, float]:
        events.EVENTS.append("brightness")
        sets = (evaluation.synthetic, evaluation.reference)
        means = [s.batch(range(len(s))).images.float().mean().item() for s in sets]
        return {"brightness": abs(means[0] - means[1])}


class Classy(Metric):
    """Share of labels that are 1, for datasets that have labels."""

    columns: ClassVar[tuple[Column, ...]] = (Column("classy", "high", "share of labels"),)

    def compute(self, evaluation: Evaluation) -> Mapping[str, float]:
        labels = evaluation.synthetic.batch(range(len(evaluation.synthetic))).labels
        if labels is None:
            raise MissingScore("the dataset has no classes")
        return {"classy": labels.float().mean().item()}


class Familiar(Brightness):
    """How far the mean brightness is off that of train, if it is asked for."""

    columns: ClassVar[tuple[Column, ...]] = (Column("familiar", "low", "difference of mean brightness"),)
    default = False
    reads_train = True

    def compute(self, evaluation: Evaluation) -> Mapping[str, float]:
        sets = (evaluation.synthetic, evaluation.train)
        means = [s.batch(range(len(s))).images.float().mean().item() for s in sets]
        return {"familiar": abs(means[0] - means[1])}


class Rare(Brightness):
    """Brightness, if it is asked for."""

    columns: ClassVar[tuple[Column, ...]] = (Column("rare", "low", "difference of mean brightness"),)
    default = False

    def compute(self, evaluation: Evaluation) -> Mapping[str, float]:
        return {"rare": super().compute(evaluation)["brightness"]}

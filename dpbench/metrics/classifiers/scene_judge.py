"""A network that finds the objects of generated scenes: the cell of each shape, and its colour and size there.

It learns only from real scenes and their captions, which give the positions of some objects but not of others. If the
cell of an object is unknown, the likelihood of the caption is summed over all cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpbench.core.captions import decode_captions
from dpbench.core.errors import MissingScore
from dpbench.core.metric import Evaluation
from dpbench.core.progress import track
from dpbench.core.scene_captions import GROUNDS, PLACES, SIZES, Scene, Thing, Vocabulary, first_scene
from dpbench.evaluation.real_parts import never_scored, whole_of
from dpbench.metrics.classifiers import recipe
from dpbench.metrics.classifiers.versions import SCENE_JUDGE_VERSION

STEPS, BATCH, RATE = 800, 64, 2e-3

ROWS = COLUMNS = len(PLACES)
CELLS = ROWS * COLUMNS
WIDTH = 32
SMALLEST = 5
"""The lowest resolution: the first two convolutions leave at least 2 x 2 positions, and so a variance over them."""
UNKNOWN = -1
"""The value of a size, a cell or a ground that a caption does not state."""


class Seen(NamedTuple):
    """What the network sees in b images, as logits.

    Attributes:
        shapes: [b, shapes, CELLS]; one per shape and cell.
        colours: [b, colours, CELLS]; of the object in a cell.
        sizes: [b, sizes, CELLS]; of the object in a cell, in the order of `SIZES`.
        ground: [b, patterns]; in the order of `GROUNDS`.
    """

    shapes: Tensor
    colours: Tensor
    sizes: Tensor
    ground: Tensor

    def scenes(self, vocabulary: Vocabulary) -> list[Scene]:
        """The scene in each image: every shape that is more likely present than absent, in its likeliest cell."""
        cells, colours, sizes = self.shapes.argmax(2).tolist(), self.colours.argmax(1), self.sizes.argmax(1)
        names = tuple(SIZES)
        things: list[list[Thing]] = [[] for _ in cells]
        for image, shape in (self.shapes.logsumexp(2) > 0).nonzero().tolist():
            cell = cells[image][shape]
            colour, size = vocabulary.colours[int(colours[image, cell])], names[int(sizes[image, cell])]
            things[image].append(Thing(vocabulary.shapes[shape], colour, size, divmod(cell, COLUMNS)))
        return [Scene(tuple(t), GROUNDS[g]) for t, g in zip(things, self.ground.argmax(1).tolist(), strict=True)]


class Said(NamedTuple):
    """The content of the captions of b images, as numbers; n objects are named in total.

    Attributes:
        shapes: bool [b, shapes]; the shapes that are named.
        images, kinds, colours, sizes, cells: int64 [n]; image, shape, colour, size and cell of each object.
        ground: int64 [b].
    """

    shapes: Tensor
    images: Tensor
    kinds: Tensor
    colours: Tensor
    sizes: Tensor
    cells: Tensor
    ground: Tensor

    @classmethod
    def of(cls, scenes: Sequence[Scene], vocabulary: Vocabulary) -> Said:
        """The numbers for one caption per image."""
        names = tuple(SIZES)
        objects = [
            (image, vocabulary.shapes.index(thing.shape), vocabulary.colours.index(thing.colour),
             UNKNOWN if thing.size is None else names.index(thing.size),
             UNKNOWN if thing.cell is None else COLUMNS * thing.cell[0] + thing.cell[1])
            for image, scene in enumerate(scenes)
            for thing in scene.things
        ]  # fmt: skip
        images, kinds, colours, sizes, cells = torch.tensor(objects, dtype=torch.long).reshape(-1, 5).T
        shapes = torch.zeros(len(scenes), len(vocabulary.shapes), dtype=torch.bool)
        shapes[images, kinds] = True
        ground = torch.tensor([UNKNOWN if s.ground is None else GROUNDS.index(s.ground) for s in scenes])
        return cls(shapes, images, kinds, colours, sizes, cells, ground)


class SceneJudge(nn.Module):
    """Four convolutions, pooled to the cells; the ground is read from mean and log variance of the first two.

    Args:
        vocabulary: names shapes and colours.
    """

    def __init__(self, vocabulary: Vocabulary):
        super().__init__()
        self.texture = nn.Sequential(
            nn.Conv2d(3, WIDTH, 5, 2, 2), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, 2, 1), nn.ReLU()
        )
        self.objects = nn.Sequential(
            nn.Conv2d(WIDTH, 2 * WIDTH, 3, 1, 1), nn.ReLU(), nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, 1, 1), nn.ReLU()
        )
        self.shapes = nn.Conv2d(2 * WIDTH, len(vocabulary.shapes), 1)
        self.colours = nn.Conv2d(2 * WIDTH, len(vocabulary.colours), 1)
        self.sizes = nn.Conv2d(2 * WIDTH, len(SIZES), 1)
        self.ground = nn.Sequential(nn.Linear(2 * WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, len(GROUNDS)))
        assert self.shapes.bias is not None
        nn.init.constant_(self.shapes.bias, -4.0)  # most shapes are in no cell

    def forward(self, images: Tensor) -> Seen:
        """Images [b, 3, h, w] in [-1, 1] -> logits."""
        texture = self.texture(images)
        cells = F.adaptive_max_pool2d(self.objects(texture), (ROWS, COLUMNS))
        variance, mean = torch.var_mean(texture, (2, 3))
        shapes, colours, sizes = (part(cells).flatten(2) for part in (self.shapes, self.colours, self.sizes))
        return Seen(shapes, colours, sizes, self.ground(torch.cat([mean, (variance + 1e-4).log()], dim=1)))

    @torch.no_grad()
    def scenes(self, images: Tensor, vocabulary: Vocabulary) -> list[Scene]:
        """The scene in each image; images as for `forward`."""
        return cast("Seen", self(images)).scenes(vocabulary)


def judge_loss(seen: Seen, said: Said) -> Tensor:
    """Negative log-likelihood of the captions' statements per image; what they do not state does not count. A scalar.

    A caption names every shape of its image: log p(named shapes) + Σ over objects log Σ over cells
    p(cell | shape) p(colour | cell) p(size | cell) + log p(ground).
    """
    images, sizes, cells = said.images, said.sizes[:, None], said.cells[:, None]
    where = seen.shapes[images, said.kinds].log_softmax(1)  # [n, CELLS]
    colour = seen.colours.log_softmax(1)[images, said.colours]
    size = seen.sizes.log_softmax(1)[images, said.sizes.clamp(min=0)] * (sizes != UNKNOWN)
    elsewhere = (cells != UNKNOWN) & (cells != torch.arange(CELLS, device=cells.device))
    objects = -(where + colour + size).masked_fill(elsewhere, -torch.inf).logsumexp(1)
    named = F.binary_cross_entropy_with_logits(seen.shapes.logsumexp(2), said.shapes.float(), reduction="sum")
    ground = F.cross_entropy(seen.ground, said.ground, ignore_index=UNKNOWN, reduction="sum")
    return (named + objects.sum() + ground) / len(seen.ground)


def scene_judge(evaluation: Evaluation, vocabulary: Vocabulary) -> SceneJudge:
    """The judge, trained on the half of train that no `real` row scores, in evaluation mode on the run's device.

    Raises:
        DpbenchError: the current metric does not declare `reads_train`.
        MissingScore: train is not available, or the images are smaller than `SMALLEST`.
    """
    train, resolution = evaluation.train, evaluation.spec.resolution
    if resolution < SMALLEST:
        raise MissingScore(f"the judge of scenes needs a resolution of at least {SMALLEST}, not {resolution}")

    def learn(generator: torch.Generator) -> Mapping[str, Tensor]:
        images, run = never_scored(train), replace(evaluation.run, generator=generator)
        device = torch.device(run.device)
        with recipe.threads(1), recipe.repeatable(generator, device):  # results do not depend on the number of cores
            judge = SceneJudge(vocabulary).to(device)
            optimizer = torch.optim.Adam(judge.parameters(), RATE)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
            for _ in track(run.progress, range(STEPS), "judge of real scenes", STEPS):
                batch = images.batch(torch.randint(len(images), (BATCH,), generator=generator).tolist())
                assert batch.images is not None
                assert batch.captions is not None
                told = [first_scene(text, vocabulary) for text in decode_captions(batch.captions)]
                known = [i for i, scene in enumerate(told) if scene is not None]
                said = Said.of([scene for scene in told if scene is not None], vocabulary)
                seen = judge(recipe.scaled(batch.images[known].to(device)))
                loss = judge_loss(seen, Said(*(part.to(device) for part in said)))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        return judge.state_dict()

    key = [SCENE_JUDGE_VERSION, whole_of(train).fingerprint, evaluation.spec.shape]
    judge = SceneJudge(vocabulary)
    judge.load_state_dict(evaluation.cached("scene-judge", key, learn))
    return judge.to(evaluation.run.device).eval()

"""A network that finds objects in generated scenes, trained on real scenes and their captions.

Captions name every object, but state only some sizes and places, and relations in place of the others. The network has
one logit per kind of object and cell, so that it learns where objects are from the captions that say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpbench.core.scene_captions import GROUNDS, SIZES, Scene, Thing, Vocabulary

CELLS = 9
WIDTH = 32

SIZE_NAMES = tuple(SIZES)


class Seen(NamedTuple):
    """What the network sees in b images, as logits.

    Attributes:
        kinds: [b, K, CELLS], one per kind of object (colour and shape) and cell.
        sizes: [b, 2, CELLS], of an object in a cell, in the order of `SIZES`.
        ground: [b, 5], in the order of `GROUNDS`.
    """

    kinds: Tensor
    sizes: Tensor
    ground: Tensor

    def scenes(self, vocabulary: Vocabulary) -> list[Scene]:
        """What is in each image: the kinds that are somewhere more likely than not, in their likeliest cells."""
        present, cells = self.kinds.logsumexp(2) > 0, self.kinds.argmax(2)
        sizes = self.sizes.argmax(1)  # [b, CELLS]
        ground = self.ground.argmax(1).tolist()
        things: list[list[Thing]] = [[] for _ in ground]
        for image, kind in present.nonzero().tolist():
            colour, shape = divmod(kind, len(vocabulary.shapes))
            cell = int(cells[image, kind])
            size = SIZE_NAMES[int(sizes[image, cell])]
            things[image].append(Thing(vocabulary.shapes[shape], vocabulary.colours[colour], size, divmod(cell, 3)))
        return [Scene(tuple(t), GROUNDS[g]) for t, g in zip(things, ground, strict=True)]


class Stated(NamedTuple):
    """What captions state of b images, as numbers. An object is a row of `objects`.

    Attributes:
        kinds: bool [b, K], the kinds of objects that are named.
        objects: int64 [n, 2], image and kind.
        cells: int64 [n], the object's cell; -1 where it is left open.
        sizes: int64 [n], the object's size; -1 where it is left open.
        ground: int64 [b]; -1 where it is left open.
    """

    kinds: Tensor
    objects: Tensor
    cells: Tensor
    sizes: Tensor
    ground: Tensor


class SceneJudge(nn.Module):
    """Four convolutions, pooled to the 3 x 3 cells; the ground is known by mean and variance of the first two.

    Args:
        kinds: number of kinds of objects K.
    """

    def __init__(self, kinds: int):
        super().__init__()
        self.texture = nn.Sequential(
            nn.Conv2d(3, WIDTH, 5, 2, 2), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, 2, 1), nn.ReLU()
        )
        self.objects = nn.Sequential(
            nn.Conv2d(WIDTH, 2 * WIDTH, 3, 1, 1), nn.ReLU(), nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, 1, 1), nn.ReLU()
        )
        self.kinds = nn.Conv2d(2 * WIDTH, kinds, 1)
        self.sizes = nn.Conv2d(2 * WIDTH, len(SIZES), 1)
        self.ground = nn.Sequential(nn.Linear(2 * WIDTH, 64), nn.ReLU(), nn.Linear(64, len(GROUNDS)))
        nn.init.constant_(self.kinds.bias, -6.0)  # most kinds are in no cell

    def forward(self, images: Tensor) -> Seen:
        """Images [b, 3, h, w] in [-1, 1] -> logits."""
        texture = self.texture(images)
        cells = F.adaptive_max_pool2d(self.objects(texture), 3)
        spread, mean = torch.var_mean(texture, (2, 3))
        return Seen(
            self.kinds(cells).flatten(2), self.sizes(cells).flatten(2), self.ground(torch.cat([mean, spread], dim=1))
        )


def kind_of(colour: str, shape: str, vocabulary: Vocabulary) -> int:
    """The number of a kind of object."""
    return vocabulary.colours.index(colour) * len(vocabulary.shapes) + vocabulary.shapes.index(shape)


def kinds(vocabulary: Vocabulary) -> int:
    """The number of kinds of objects K."""
    return len(vocabulary.colours) * len(vocabulary.shapes)


def stated(scenes: Sequence[Scene], vocabulary: Vocabulary) -> Stated:
    """What texts say of images, one per image, as numbers."""
    things = [(i, thing) for i, scene in enumerate(scenes) for thing in scene.things]
    objects = torch.tensor([(i, kind_of(t.colour, t.shape, vocabulary)) for i, t in things]).reshape(-1, 2).long()
    named = torch.zeros(len(scenes), kinds(vocabulary), dtype=torch.bool)
    named[objects[:, 0], objects[:, 1]] = True
    return Stated(
        named,
        objects,
        torch.tensor([-1 if t.cell is None else 3 * t.cell[0] + t.cell[1] for _, t in things], dtype=torch.long),
        torch.tensor([-1 if t.size is None else SIZE_NAMES.index(t.size) for _, t in things], dtype=torch.long),
        torch.tensor([-1 if s.ground is None else GROUNDS.index(s.ground) for s in scenes]),
    )


def judge_loss(seen: Seen, truth: Stated) -> Tensor:
    """Negative log-likelihood of what captions state; what they leave open does not count. A scalar."""
    image, kind = truth.objects.T.to(seen.kinds.device)
    cells, sizes, ground = (part.to(seen.kinds.device) for part in (truth.cells, truth.sizes, truth.ground))
    where = seen.kinds[image, kind]  # [n, CELLS]
    size = (seen.sizes[image] * where.softmax(1)[:, None]).sum(2)  # [n, 2], at the likely cells
    presence = F.binary_cross_entropy_with_logits(seen.kinds.logsumexp(2), truth.kinds.to(where))
    parts = ((where, cells), (size, sizes), (seen.ground, ground))
    stated_ = [F.cross_entropy(logits, target, ignore_index=-1) for logits, target in parts if (target >= 0).any()]
    return 10 * presence + torch.stack(stated_).sum() if stated_ else 10 * presence

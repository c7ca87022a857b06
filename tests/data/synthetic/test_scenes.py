"""The generated scenes: contents, captions, pictures."""

from __future__ import annotations

import numpy as np
import pytest

from dpbench.core.captions import decode_captions, split_captions
from dpbench.core.data import DataOptions
from dpbench.core.scene_captions import read
from dpbench.data.opening import open_dataset, open_public
from dpbench.data.synthetic.procedural import PATTERNS, Draws
from dpbench.data.synthetic.scene_layout import KINDS, LAYOUT_WIDTH, MOST, draw_layout
from dpbench.data.synthetic.scenes import CELL, COLOURS, OUTLINES, Scenes, StillLifes


@pytest.fixture
def options(tmp_path, monkeypatch) -> DataOptions:
    for plugin in (Scenes, StillLifes):
        monkeypatch.setattr(plugin, "n_train", 160)
        monkeypatch.setattr(plugin, "n_test", 20)
    return DataOptions(tmp_path)


@pytest.fixture
def layout():
    return draw_layout(Draws(np.random.default_rng(0).random((5000, LAYOUT_WIDTH), dtype=np.float32)))


def test_layouts_have_the_stated_shares(layout):
    assert np.allclose(np.bincount(layout.count)[1:] / 5000, [0.3, 0.4, 0.3], atol=0.02)
    assert np.bincount(layout.ground).shape == (len(PATTERNS),)
    for numbers in (layout.shapes, layout.colours):
        assert np.allclose(np.bincount(numbers[:, 0]) / 5000, 1 / KINDS, atol=0.02)


def test_objects_of_a_scene_differ_in_shape_and_cell(layout):
    for i, count in enumerate(layout.count):
        assert len(set(layout.shapes[i, :count])) == count
        assert len({*zip(layout.rows[i, :count], layout.columns[i, :count], strict=True)}) == count


def test_two_objects_stand_at_the_ends_of_one_row_or_column(layout):
    several = layout.count > 1
    rows, columns = layout.rows[several], layout.columns[several]
    in_column = (columns[:, 0] == columns[:, 1]) & (rows[:, 0] == 0) & (rows[:, 1] == 2)
    in_row = (rows[:, 0] == rows[:, 1]) & (columns[:, 0] == 0) & (columns[:, 1] == 2)
    assert (in_column ^ in_row).all()
    assert 0.45 < in_column.mean() < 0.55


@pytest.mark.parametrize("plugin", [Scenes, StillLifes])
def test_captions_say_what_the_image_shows(plugin, options):
    """A pixel near the centre of every object that is not hollow has the object's colour."""
    batch = plugin("", options).train().batch(range(160))
    filled = {"star", "square", "triangle", "heart", "cross", "disc", "bar"} & {*plugin.vocabulary.shapes}
    checked = 0
    for image, text in zip(batch.images.numpy(), decode_captions(batch.captions), strict=True):
        captions = split_captions(text)
        assert len(captions) == 3
        scenes = [read(caption, plugin.vocabulary) for caption in captions]
        assert len({frozenset((t.colour, t.shape) for t in scene.things) for scene in scenes}) == 1
        for thing in scenes[0].things:
            if thing.cell and thing.shape in filled:
                row, column = (round((1 + CELL * (k - 1)) * 32 - 0.5) for k in thing.cell)
                area = image[:, row - 3 : row + 4, column - 3 : column + 4].reshape(3, -1) / 255
                distance = np.abs(area - np.array(COLOURS[thing.colour])[:, None]).max(0)
                assert distance.min() < 0.16
                checked += 1
    assert checked > 4


def test_the_fingerprint_covers_the_captions(options, monkeypatch):
    before = Scenes("", options).train().fingerprint
    assert Scenes("", options).train().fingerprint == before
    monkeypatch.setattr("dpbench.data.synthetic.scenes.write", lambda scene, chosen: "a red star")
    assert Scenes("", options).train().fingerprint != before


def test_a_record_is_the_same_whatever_their_number(options, monkeypatch, tmp_path):
    few = Scenes("", options).train().batch(range(10))
    monkeypatch.setattr(Scenes, "n_train", 300)
    many = Scenes("", DataOptions(tmp_path / "other")).train().batch(range(10))
    assert (few.images == many.images).all()
    assert (few.captions == many.captions).all()


def test_it_is_the_same_scene_at_every_resolution(options):
    large, small = (Scenes("", DataOptions(options.root, size)).train().batch(range(20)) for size in (64, 32))
    means = large.images.float().unflatten(-1, (32, 2)).unflatten(-3, (32, 2)).mean((-1, -3))
    assert (means - small.images.float()).abs().mean() < 8
    assert (large.captions == small.captions).all()


def test_the_public_companion_opens_for_it(options):
    spec = open_dataset("scenes", options).spec
    assert spec.caption_bytes == 384
    assert spec.classes is None
    public = open_public("still-lifes", spec, options)
    assert public.spec.shape == spec.shape
    assert public.batch([0]).captions is not None


def test_every_shape_and_colour_is_known():
    for plugin in (Scenes, StillLifes):
        assert {*plugin.vocabulary.shapes} <= OUTLINES.keys()
        assert {*plugin.vocabulary.colours} <= COLOURS.keys()
        assert len(plugin.vocabulary.shapes) == len(plugin.vocabulary.colours) == KINDS
    assert MOST <= KINDS

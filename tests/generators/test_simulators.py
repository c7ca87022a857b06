import pytest
import torch

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.public_generator import Candidates
from dpbench.generators.glyphs import FONTS, Glyphs
from dpbench.generators.polygons import Polygons
from dpbench.generators.simulator import redrawn, walked


@pytest.fixture
def run(tmp_path) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path))


def glyphs(shape=(1, 32, 32), **settings: object) -> Glyphs:
    return Glyphs(build(Glyphs.Config, settings), shape)


def test_an_upright_character_is_centred_and_of_the_declared_height():
    drawn = glyphs(characters="Hx")._glyphs[0, :, 0]  # H in every font
    ink = drawn > 0.1
    assert len(ink) == len(FONTS)
    for one in ink:
        rows, columns = one.any(1).nonzero()[:, 0], one.any(0).nonzero()[:, 0]
        sides = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert max(sides) == pytest.approx(0.62 * 32, abs=2)
        assert (rows[0] + rows[-1]).item() / 2 == pytest.approx(15.5, abs=1)
        assert (columns[0] + columns[-1]).item() / 2 == pytest.approx(15.5, abs=1)


def test_middle_amounts_draw_the_upright_character():
    simulator = glyphs(characters="38")
    parameters = torch.full((1, 10), 0.5)
    parameters[0, :2] = torch.tensor([0.6, 0.0])  # "8" of the first font
    image = simulator.draw(parameters)[0, 0].float() / 255
    assert torch.allclose(image, (simulator._glyphs[1, 0, 0] * 1.5).clamp(0, 1), atol=0.01)


def test_variations_keep_the_character_and_change_the_rest(run):
    first = glyphs().random(200, run)
    near, far = (glyphs().vary(first, degree, run) for degree in (0.05, 1.0))
    for varied in (near, far):
        assert torch.equal(varied.origins[:, 0], first.origins[:, 0])
        assert varied.origins.min() >= 0
        assert varied.origins.max() < 1
    assert (near.origins[:, 1] != first.origins[:, 1]).float().mean() < 0.15
    assert (far.origins[:, 1] != first.origins[:, 1]).float().mean() > 0.95
    assert (near.origins[:, 2:] - first.origins[:, 2:]).abs().mean() < 0.06


def test_a_larger_stroke_width_has_more_ink():
    simulator, parameters = glyphs(characters="o-"), torch.full((3, 10), 0.5)
    parameters[:, 0] = 0
    parameters[:, 8] = torch.tensor([0.0, 0.5, 0.99])
    thin, middle, wide = simulator.draw(parameters).float().mean((1, 2, 3))
    assert thin < middle < wide


def test_colour_images_have_three_equal_channels(run):
    images = glyphs((3, 16, 16)).random(5, run).images
    assert images.shape == (5, 3, 16, 16)
    assert torch.equal(images[:, 0], images[:, 2])


@pytest.mark.parametrize("characters", ["", "1", "11", "0\n1", "1 2"])
def test_one_character_is_no_choice(characters):
    with pytest.raises(ConfigError, match="at least two different"):
        build(Glyphs.Config, {"characters": characters})


def test_a_simulator_varies_its_own_images_alone():
    with pytest.raises(ConfigError, match="come from elsewhere"):
        glyphs().adopt(torch.zeros(1, 1, 32, 32, dtype=torch.uint8))


def test_polygons_show_what_their_parameters_say():
    parameters = torch.full((2, Polygons.amounts), 0.5)
    parameters[:, :10] = 1.0  # corners far out
    parameters[:, 10] = torch.tensor([0.0, 1.0])  # without and with a hole
    parameters[:, 15:] = torch.tensor([1.0, 0, 0, 0, 1, 0, 0, 0, 1])  # red on green that shades to blue
    whole, with_hole = Polygons(Polygons.Config(), (3, 32, 32)).draw(parameters)
    assert whole[:, 16, 16].tolist() == [255, 0, 0]
    assert with_hole[0, 16, 16] == 0
    assert whole[:, 0, 0].tolist() == [0, 255, 0]
    assert whole[:, -1, 0].tolist() == [0, 0, 255]


def test_grey_polygons_have_the_luminance_of_coloured_ones(run):
    parameters = torch.rand(4, Polygons.amounts, generator=run.generator)
    grey, colour = (Polygons(Polygons.Config(), (c, 16, 16)).draw(parameters).float() for c in (1, 3))
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    assert torch.allclose(grey[:, 0], (colour * weights).sum(1), atol=1.1)


def test_walks_are_reflected_and_choices_redrawn_by_their_probability():
    generator = torch.Generator().manual_seed(0)
    start = torch.full((20_000, 1), 0.01)
    moved = walked(start, 0.05, generator)
    assert moved.min() >= 0
    assert moved.max() < 1
    assert moved.mean().item() == pytest.approx(0.0406, abs=0.002)  # E|0.01 + 0.05 z|
    assert (redrawn(start, 0.3, generator) != start).float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_candidates_are_selected_with_their_origins():
    chosen = Candidates(torch.arange(3), torch.arange(3.0)[:, None]).select(torch.tensor([2, 0, 2]))
    assert chosen.images.tolist() == chosen.origins[:, 0].tolist() == [2, 0, 2]

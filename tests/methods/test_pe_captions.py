"""Private Evolution whose population are captions (SPTI, arXiv 2506.07555): images vote, captions are selected."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from captioned_bars import PROMPTS, captioned_bars
from planned import plan_of

from dpbench.contracts.small_sets import bars
from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.registries import GENERATORS
from dpbench.core.scene_captions import SENSITIVE, read
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request
from dpbench.data.arrays import ArrayDataset
from dpbench.generators.captioned import Captioned, captions_of
from dpbench.generators.captions.captions_config import CaptionsConfig
from dpbench.methods.pe import PE
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.vault import Vault

REQUEST = Request(Conditions.balanced(40, PROMPTS))

RENDERED = {
    "steps": 90, "batch": 32, "lr": 3e-3, "channels": (16,), "sampling_steps": 6, "text_tokens": 4, "text.dim": 16,
    "context": 16,
}  # fmt: skip
BARS = {"generator.name": "captions", "population": 40, "iterations": 2, "first_degree": 0.5} | {
    f"generator.{key}": value for key, value in RENDERED.items()
}
SCENES = {
    "generator.name": "painted",
    "generator.edits": "scenes",
    "population": 100,
    "iterations": 6,
    "last_degree": 0.05,
}


COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "purple": (1, 0, 1),
           "white": (1, 1, 1)}  # fmt: skip


class Painted(Captioned[CaptionsConfig]):
    """Scenes of squares: the colour and the cell of each object are seen, other parts are not."""

    Config = CaptionsConfig

    def render(self, captions, run):
        images = torch.zeros(len(captions), 3, 12, 12)
        for image, caption in zip(images, captions, strict=True):
            for thing in read(caption, SENSITIVE).things:
                row, column = (4 * k for k in thing.cell or (1, 1))
                image[:, row : row + 4, column : column + 4] = torch.tensor(COLOURS[thing.colour])[:, None, None]
        return (255 * images).byte()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return PublicCache(tmp_path_factory.mktemp("public"))


@pytest.fixture
def run(cache) -> RunContext:
    torch.manual_seed(0)
    return RunContext("cpu", torch.Generator().manual_seed(0), cache)


def prepared(settings, private: ArrayDataset, public: ArrayDataset, run) -> PE:
    method = PE(build(PE.Config, settings), private.spec)
    method.prepare(public, run)
    return method


def fit(method: PE, private: ArrayDataset, run, epsilon: float) -> PE:
    ledger = Ledger(calibrate(plan_of(method, REQUEST), Budget(epsilon, 1e-5)))
    method.fit(Vault(private, private.spec, ledger, NoiseSource(key=NoiseKey.from_seed(0))), run)
    ledger.check_complete()
    return method


def drawn(method: PE, run, count: int = 400) -> list[str]:
    """Captions of candidates that are drawn by the last votes."""
    return captions_of(method._population._drawn(torch.zeros(count, dtype=torch.long), run))


def horizontal(captions: list[str]) -> float:
    return sum("horizontal" in caption for caption in captions) / len(captions)


@pytest.fixture(scope="module")
def lying():
    """Private images of horizontal bars alone, whose captions say that they are vertical."""
    spec = replace(captioned_bars("sensitive", 1).spec, n_train=300)
    images = bars(DatasetSpec("bars", 1, 16, 600, 0, ("horizontal", "vertical"), True), 600, seed=1)
    return ArrayDataset(spec, images.batch(range(0, 600, 2)).images, ["a vertical bar"] * 300)


def test_images_vote_for_captions_of_their_kind(lying, run):
    method = prepared(BARS, lying, captioned_bars("public", 300), run)
    assert 0.2 < horizontal(drawn(method, run)) < 0.8
    fit(method, lying, run, epsilon=10)
    assert horizontal(drawn(method, run)) > 0.9
    images = method.sample(REQUEST.conditions, run)  # half of the prompts ask for vertical bars
    assert images.shape == (40, 1, 16, 16)
    pixels = images.float().squeeze(1)
    assert (pixels.mean(2).var(1) > pixels.mean(1).var(1)).float().mean() > 0.8


def test_private_captions_are_not_read(lying, run):
    states = []
    for captions in (["a vertical bar"] * 300, ["猫\nhorizontal"] * 150 + [""] * 150):
        private = ArrayDataset(lying.spec, lying.batch(range(300)).images, captions)
        run.generator.manual_seed(0)
        method = prepared(BARS, private, captioned_bars("public", 300), run)
        states.append(fit(method, private, run, epsilon=1).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_restored_method_samples_the_same(lying, run):
    method = fit(prepared(BARS, lying, captioned_bars("public", 300), run), lying, run, epsilon=1)
    restored = PE(method.config, method.spec)
    restored.load_state_dict(method.state_dict())
    samples = []
    for either in (method, restored):
        run.generator.manual_seed(7)
        samples.append(either.sample(REQUEST.conditions, run))
    assert torch.equal(*samples)


def test_captions_change_nothing_in_the_plan(lying):
    config = build(PE.Config, BARS)
    plain = replace(lying.spec, caption_bytes=0)
    assert PE.plan(config, lying.spec, REQUEST) == PE.plan(config, plain, Request(Conditions(40)))


@pytest.fixture
def painted(registries, run):
    """Private images of single red squares, and public captions of `scenes`."""
    GENERATORS.register("painted")(Painted)
    spec = DatasetSpec("red", 3, 12, 500, 0, None, True)
    cells = [f"a red star {place}, rough ground" for place in ("at the top", "on the left", "in the centre")]
    images = Painted(CaptionsConfig(), spec.shape).render([cells[i % 3] for i in range(500)], run)
    texts = ["a small green ring above a blue star, striped ground"] * 20
    public = ArrayDataset(replace(spec, name="public", caption_bytes=60), torch.zeros_like(images[:20]), texts)
    return ArrayDataset(spec, images, None), public


def test_captions_of_the_grammar_evolve_towards_what_private_images_show(painted, run):
    private, public = painted
    method = prepared(SCENES, private, public, run)

    def shares():
        scenes = [read(caption, SENSITIVE) for caption in drawn(method, run)]
        things = [thing for scene in scenes for thing in scene.things]
        single = sum(len(scene.things) == 1 for scene in scenes) / len(scenes)
        return single, sum(thing.colour == "red" for thing in things) / len(things)

    assert max(shares()) < 0.45
    fit(method, private, run, epsilon=5)
    single, red = shares()
    assert single > 0.5
    assert red > 0.6


def test_a_public_source_without_captions_is_one_clear_line(lying, public, run):
    with pytest.raises(ConfigError, match="candidates are captions, and 'public-bars' has none"):
        prepared(BARS, lying, public, run)


def test_weights_that_vary_captions_stand_in_the_row(tmp_path):
    from tiny_text_encoders import save_masked_model

    save_masked_model(tmp_path, likely="")
    config = build(
        PE.Config,
        {"generator.name": "captions", "generator.edits": "language-model", "generator.language_model": str(tmp_path)},
    )
    assert PE.track_of(config) == "foundation"
    assert list(PE.weights_of(config)) == [tmp_path.name]

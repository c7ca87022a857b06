"""Steps towards noisy mean embeddings: the loss, the releases between the steps, and interruptions."""

import math

import pytest
import torch

from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Budget
from dpbench.data.arrays import ArrayDataset
from dpbench.methods.cores.matching.fourier_features import FourierFeatures
from dpbench.methods.cores.matching.image_features import mmd_loss
from dpbench.methods.cores.matching.matching_settings import FourierSettings, MatchingConfig
from dpbench.methods.cores.matching.matching_steps import MatchingSteps, noisy_sums
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.vault import Vault

NAME = "mean embedding"
FEATURES = FourierFeatures(256, 60, (0.1,), seed=0, device="cpu")


def _plan(releases: int) -> Plan:
    return Plan(NoisySum(name=NAME, clip=(1 + 0.1**2) ** 0.5, count=releases))


class Learning:
    """Images [4, 1, 16, 16] that learn, in place of a generator; notes the steps before which features are made."""

    def __init__(self, private: Vault, steps: int, kept: int = 1):
        self.images = torch.full((4, 1, 16, 16), 0.5).requires_grad_()
        optimizer = torch.optim.SGD([self.images], 1.0)
        self.seen: list[torch.Tensor] = []
        self.numbers: list[int] = []
        generator = torch.Generator().manual_seed(0)
        self.steps = MatchingSteps(
            private, NAME, self._features, lambda: 1 * self.images, optimizer, steps, 0.1, kept, generator
        )

    def _features(self, generated: torch.Tensor, release: int) -> FourierFeatures:
        assert not generated.requires_grad
        self.seen.append(generated.clone())
        self.numbers.append(release)
        return FEATURES


def test_loss_is_an_unbiased_estimate_of_squared_distance():
    generator = torch.Generator().manual_seed(0)
    features = 0.9 * torch.nn.functional.normalize(torch.randn(50_000, 8, generator=generator) + 0.5, dim=-1)
    target = torch.nn.functional.normalize(torch.ones(1, 8), dim=-1) * 0.3
    distance = (features.mean(0) - target).square().sum() - target.square().sum()
    small = [mmd_loss(p.sum(0)[None], (p @ p.T).fill_diagonal_(0).sum()[None], 4, target) for p in features.split(4)]
    assert torch.stack(small).mean().item() == pytest.approx(distance.item(), abs=0.005)


def test_sums_of_features_are_those_of_consecutive_images():
    images = torch.rand(6, 1, 16, 16)
    sums, pairs = FEATURES.sums(images, 2)
    assert torch.allclose(sums, torch.stack([FEATURES(images[:3]).sum(0), FEATURES(images[3:]).sum(0)]), atol=1e-6)
    first, second = ((f @ f.T).fill_diagonal_(0).sum() for f in FEATURES(images).split(3))
    assert torch.allclose(pairs, torch.stack([first, second]), atol=1e-5)


def test_releases_are_spread_evenly_over_the_steps(vault):
    private = vault(_plan(3), 5.0)
    learning = Learning(private, steps=9)
    spent = [private.ledger.spent[NAME] for _ in learning.steps]
    assert spent == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    private.ledger.check_complete()
    assert learning.numbers == [1, 2, 3]
    assert not torch.equal(learning.seen[0], learning.seen[1])  # each release is at the images of its time


def test_counts_are_averaged_over_the_releases_so_far(vault, monkeypatch):
    private, answers, noisy_sum = vault(_plan(2), 1.0), [], Vault.noisy_sum
    monkeypatch.setattr(Vault, "noisy_sum", lambda *args: answers.append(noisy_sum(*args)) or answers[-1])
    learning = Learning(private, steps=2)
    for _ in learning.steps:
        pass
    counts = (answers[0][:, -1:] + answers[1][:, -1:]) / 2 / 0.1
    assert torch.allclose(learning.steps.state_dict()["kept"][-1][2], answers[1][:, :-1] / counts.clamp_min(1))


def test_a_rare_class_is_divided_by_no_less_than_twice_the_noise_of_its_count(spec, sensitive):
    images, labels = sensitive.batch(range(400)).images, torch.zeros(400, dtype=torch.long)
    labels[:2] = 1
    source = ArrayDataset(spec, images.numpy(), labels.numpy())
    ledger, noise = Ledger(calibrate(_plan(1), Budget(1.0, 1e-5))), NoiseSource(key=NoiseKey.from_seed(0))
    private = Vault(source, spec, ledger, noise)
    learning = Learning(private, steps=1)
    next(iter(learning.steps))
    targets = learning.steps.state_dict()["kept"][0][2]
    deviation = private.plan[NAME].noise_scale_at(1)
    assert targets[1].norm() < (1.3 * deviation * 60**0.5 + 2) / (2 * deviation / 0.1)


def test_the_least_count_falls_with_the_noise_of_the_average(vault, monkeypatch):
    """Counts of zero: twice the standard deviation of the mean of two noisy counts."""
    private, noisy_sum = vault(_plan(2), 0.1), Vault.noisy_sum
    fixed = torch.ones(2, 61)
    fixed[:, -1] = 0
    monkeypatch.setattr(Vault, "noisy_sum", lambda *args: 0 * noisy_sum(*args) + fixed)
    learning = Learning(private, steps=2, kept=2)
    for _ in learning.steps:
        pass
    deviation = private.plan[NAME].noise_scale_at(1) / 0.1
    first, second = (targets for _, _, targets in learning.steps.state_dict()["kept"])
    assert torch.allclose(first, fixed[:, :-1] / (2 * deviation))
    assert torch.allclose(second, fixed[:, :-1] / (2 * deviation / math.sqrt(2)))


def test_the_last_releases_are_matched_in_turns(vault):
    learning = Learning(vault(_plan(4), 5.0), steps=200, kept=2)
    used = []
    for _ in learning.steps:
        kept = learning.steps.state_dict()["kept"]
        used.append(len(kept))
    assert used == [1] * 50 + [2] * 150
    last = [images for _, images, _ in learning.steps.state_dict()["kept"]]
    assert all(torch.equal(a, b) for a, b in zip(last, learning.seen[-2:], strict=True))


def test_nothing_but_the_released_values_reaches_the_generator(vault, monkeypatch):
    """With the same answers, other private records and other noise make no difference."""
    fixed = 1e4 * torch.randn(2, 61, generator=torch.Generator().manual_seed(0))
    fixed[:, -1] = 1e4  # counts far above their noise
    learned = []
    for epsilon in (0.1, 10.0):
        learning = Learning(vault(_plan(2), epsilon), steps=4)
        with monkeypatch.context() as patch:
            noisy_sum = Vault.noisy_sum
            patch.setattr(Vault, "noisy_sum", lambda *args, f=noisy_sum: 0 * f(*args) + fixed)
            for _ in learning.steps:
                pass
        learned.append(learning.images.detach())
    assert torch.equal(*learned)


def test_clip_bounds_a_record_with_adversarial_features(spec):
    """One record with features a million times too long, and one whose features are no numbers."""

    class Adversarial(FourierFeatures):
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            brightness = images.mean((1, 2, 3))[:, None]
            long = torch.where(brightness > 0.99, 1e6, 1.0) * super().__call__(images)
            return torch.where(brightness < 0.01, torch.nan, long)

    images = torch.full((400, 1, 16, 16), 100, dtype=torch.uint8)
    images[0], images[1] = 255, 0
    labels = torch.zeros(400, dtype=torch.long)
    features = Adversarial(256, 60, (0.1,), seed=0, device="cpu")
    ledger = Ledger(calibrate(_plan(1), Budget(math.inf, 1e-5)))
    private = Vault(ArrayDataset(spec, images, labels), spec, ledger, NoiseSource())
    sums, counts = noisy_sums(private, NAME, features, 0.1)
    usual = 398 * FourierFeatures(256, 60, (0.1,), seed=0, device="cpu")(images[2:3].float() / 255)
    assert (sums[0] - usual[0]).norm().item() == pytest.approx(math.hypot(1, 0.1), rel=1e-3)  # the white one, clipped
    assert counts[0].item() == pytest.approx(398, abs=1e-2)  # the clipped one counts next to nothing


def test_a_stored_state_continues_with_the_same_releases(vault):
    steps = 6
    whole = Learning(vault(_plan(3), 5.0), steps)
    for _ in whole.steps:
        pass
    first = Learning(vault(_plan(3), 5.0), steps)
    for _ in range(3):
        next(first.steps)
    state, images = first.steps.state_dict(), first.images.detach().clone()
    private = vault(_plan(3), 5.0)  # with the same key of its noise
    second = Learning(private, steps)
    with torch.no_grad():
        second.images.copy_(images)
    assert second.steps.load_state_dict(state) == 3
    assert private.ledger.spent[NAME] == 2
    assert second.numbers == [2]
    for _ in second.steps:
        pass
    private.ledger.check_complete()
    assert torch.allclose(second.images, whole.images, atol=1e-6)


def test_noise_is_that_of_the_plan(vault):
    plan = _plan(1)
    features = FourierFeatures(256, 8000, (0.1,), seed=0, device="cpu")
    noisy, exact = (noisy_sums(vault(plan, epsilon), NAME, features, 0.1)[0] for epsilon in (1.0, float("inf")))
    deviation = calibrate(plan, Budget(1.0, 1e-5))[NAME].noise_scale_at(1)
    assert (noisy - exact).std().item() == pytest.approx(deviation, rel=0.03)
    assert abs((noisy - exact).mean().item()) < 4 * deviation / 16_000**0.5


def test_scales_need_features():
    with pytest.raises(ConfigError, match="3 features for 2 bandwidths"):
        build(FourierSettings, {"features": 3, "bandwidths": (0.1, 0.02)})
    with pytest.raises(ConfigError, match="at least one bandwidth"):
        build(FourierSettings, {"bandwidths": ()})


def test_default_query_is_one_release_over_all_records():
    query = MatchingConfig().embedding_query()
    assert (query.sampling_rate, query.releases, query.noise_multiplier) == (1, 1, None)

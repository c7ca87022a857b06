"""Two processes on the CPU that share a vault, against one process alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from vaults import SIGMAS, Images, a_sum, pixels, planned, steps

from dpbench.core.checkpoints import Checkpoints
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.choices import NoisyMax
from dpbench.privacy.noise import Draws, NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.records import Shard
from dpbench.privacy.vault import Vault
from dpbench.privacy.world import World

N = 11  # odd: the shards differ in size
WIDE = 1_000
SEEDS: list[float] = []


def flat(batch: Batch) -> Tensor:
    return batch.images.float().flatten(1) / 255


def squares(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    SEEDS.append(torch.rand(1, generator=generator).item())
    return (model(flat(batch)) ** 2).sum(1)


def nothing(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return 0 * model(flat(batch)).sum(1)


def weights(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector([p.detach() for p in model.parameters()]).clone()


class NoOne(Draws):
    """A release whose Poisson sample turns out empty."""

    def poisson_sample(self, n: int, rate: float) -> list[int]:
        return []


class EmptySamples(NoiseSource):
    """Only releases whose Poisson samples turn out empty."""

    def of(self, mechanism: str, number: int) -> Draws:
        return NoOne(number, torch.device("cpu"))


def shared(
    world: World,
    *mechanisms: Any,
    records: Images | None = None,
    path: Path | None = None,
    noise: NoiseSource | None = None,
    **options: Any,
) -> Vault:
    records = records or Images(pixels(N))
    ledger = Ledger(planned(*mechanisms), path if world.leads else None)
    return Vault(records, records.spec, ledger, noise or NoiseSource(), world=world, **options)


def trained(private: Vault, loss: Any = squares, outputs: int = 3, start: int = 0) -> tuple[Tensor, Tensor]:
    """The weights after all planned steps, and how far they went."""
    torch.manual_seed(start)
    model = nn.Linear(16, outputs)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    stepper = private.dp_sgd("steps", model, loss, optimizer, torch.Generator().manual_seed(0))
    before = weights(model)
    for _ in stepper:
        pass
    private.ledger.check_complete()
    return weights(model), before - weights(model)


def everything(world: World, folder: Path) -> dict[str, Any]:
    """All that is compared between one process and two."""
    found: dict[str, Any] = {}
    found["step"] = trained(shared(world, steps(N, steps=2)), start=world.rank)[0]
    queries = shared(world, a_sum(count=2, clip=0.7), path=folder / "ledger.json")
    found["sum"] = queries.noisy_sum("sum", flat, chunk=3)
    found["derived"] = queries.derive(flat, chunk=3).noisy_sum("sum", lambda b: b.derived)
    found["receipts"] = json.loads((folder / "ledger.json").read_text())["mechanisms"][0]["releases_spent"]
    found["spent"] = queries.ledger.spent["sum"]

    pick = shared(world, NoisyMax(name="pick", clip=1.0, noise_multiplier=5.0, candidates=16, count=5))
    found["choices"] = torch.tensor([pick.noisy_max("pick", flat) for _ in range(5)])

    wide = steps(N, noise_multiplier=2.0, clip=0.5)
    found["noise of a step"] = trained(shared(world, wide), nothing, WIDE)[1] * N
    private = shared(world, a_sum(noise_multiplier=2.0, clip=0.5))
    found["noise of a sum"] = private.noisy_sum("sum", lambda b: torch.zeros(len(b), 16 * WIDE))

    SEEDS.clear()
    images = Images(pixels(1000))
    found["sampled step"] = trained(shared(world, steps(1000, expected_batch=500), records=images))[0]
    found["seen"] = sorted(i for read in images.reads for i in read)
    found["seed"] = SEEDS[-1]

    noise = NoiseSource() if world.leads else EmptySamples()
    found["idle"] = trained(shared(world, steps(N, noise_multiplier=1.0), noise=noise))[0]

    folder = folder / "checkpoints"
    checkpoints = [Checkpoints(folder, writes=world.leads, code="code") for _ in range(2)]
    query = a_sum(noise_multiplier=1.0)
    first, again = (shared(world, query, checkpoints=c).noisy_sum("sum", flat) for c in checkpoints)
    found["stored"], found["stored again"] = first, again
    return found


def other_release(world: World) -> str:
    """What happens when one process thinks that a step has been taken already."""
    private = shared(world, steps(N, steps=3))
    private.ledger.spent["steps"] = world.rank
    try:
        trained(private)
    except PrivacyError as error:
        return str(error)
    return ""


def sharded_model(world: World) -> str:
    """What happens to a model whose parameters FSDP has spread over the processes."""
    model = fully_shard(nn.Linear(16, 3), mesh=init_device_mesh("cpu", (world.size,)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    try:
        shared(world, steps(N)).dp_sgd("steps", model, squares, optimizer, torch.Generator().manual_seed(0))
    except PrivacyError as error:
        return str(error)
    return ""


def process(rank: int, size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    world = World.current()
    found = everything(world, folder)
    found["sharded model"] = sharded_model(world)
    found["other release"] = other_release(world)
    torch.save(found, folder / f"{rank}.pt")
    dist.barrier()
    os._exit(0)  # now and then, gloo's threads abort a process that ends as usual


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.start_processes(process, (2, folder), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return everything(World(), tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("what", ["step", "sum", "derived"])
def test_without_noise_two_processes_release_what_one_does(two, alone, what):
    torch.testing.assert_close(two[0][what], alone[what], rtol=1e-5, atol=1e-6)
    assert (two[0][what] - alone[what]).norm() < 1e-6 * alone[what].norm()


@pytest.mark.parametrize(
    "what", ["step", "sum", "derived", "noise of a step", "noise of a sum", "sampled step", "idle", "stored", "choices"]
)
def test_all_processes_get_the_same_bits(two, what):
    assert torch.equal(two[0][what], two[1][what])


@pytest.mark.parametrize("what", ["noise of a step", "noise of a sum"])
def test_noise_is_added_once(two, alone, what):
    for found in (two[0], alone):
        noise = found[what]
        assert abs(noise.mean()) < SIGMAS / len(noise) ** 0.5 + 1e-3
        assert abs(noise.std() - 1) < SIGMAS * (0.5 / len(noise)) ** 0.5 + 1e-3  # 2.0 · 0.5, not √2 of it


def test_every_release_is_counted_once(two):
    assert [found["receipts"] for found in two] == [2, 2]
    assert [found["spent"] for found in two] == [2, 2]


def test_each_process_samples_its_own_records(two, alone):
    first, second = (set(found["seen"]) for found in two)
    assert all(i % 2 == 0 for i in first)
    assert all(i % 2 == 1 for i in second)
    assert {i + 1 for i in first} != second  # the coins are different ones
    deviation = (1000 * 0.25) ** 0.5
    for size in (len(first) + len(second), len(alone["seen"])):
        assert abs(size - 500) < SIGMAS * deviation


def test_each_process_gives_the_loss_other_randomness(two):
    assert two[0]["seed"] != two[1]["seed"]


def test_a_process_with_an_empty_sample_takes_part(two):
    assert two[0]["idle"].isfinite().all()


def test_a_stored_sum_is_handed_out_again_on_every_process(two):
    for found in two:
        assert torch.equal(found["stored"], found["stored again"])


def test_processes_at_different_releases_get_nothing(two):
    for found in two:
        assert "are not at the same release" in found["other release"]


def test_the_shards_are_a_partition():
    records = Images(pixels(N))
    seen = []
    for rank in range(3):
        shard = Shard(records, World(rank, 3).positions(N))
        seen += list(range(rank, N, 3))
        assert torch.equal(shard.batch(range(len(shard))).images, records.images[rank::3])
    assert sorted(seen) == list(range(N))


def test_processes_that_share_a_key_draw_differently_and_each_repeats_itself():
    drawn = [NoiseSource(key=NoiseKey.from_seed(1), rank=rank).of("steps", 1) for rank in (0, 1, 1)]
    samples = [draws.poisson_sample(1000, 0.5) for draws in drawn]
    assert samples[0] != samples[1] == samples[2]


def test_a_sharded_model_is_refused_in_one_line(two):
    assert all("give dp_sgd the whole model" in found["sharded model"] for found in two)

"""One method on small images: prepare, fit and sample as in a run, without results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpbench.benchmark.configure import plan_of
from dpbench.contracts.small_sets import CLASSES, bars, bars_spec
from dpbench.core.cache import PublicCache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.method import Method
from dpbench.core.seal import Seal
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms.mechanism import Mechanism
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.vault import Vault

SAMPLES = 12
BUDGET = Budget(10, 1e-5)


class SmallTrial:
    """A trial of a method on 200 small images.

    DP noise is reproducible, so two trials with the same settings release the same values.

    Args:
        plugin: the method.
        settings: settings that differ from the defaults of its configuration.
        spec: what the sensitive images declare.
        folder: holds the public cache (`public`), the trial's folder and the working directory (`elsewhere`).
        attempt: name of the trial's folder; attempts at the same trial share it.
        public_classes: classes of the public images; None for images without labels.
    """

    def __init__(
        self,
        plugin: type[Method[Any]],
        settings: Mapping[str, Any],
        spec: DatasetSpec,
        folder: Path,
        attempt: str = "trial",
        public_classes: tuple[str, ...] | None = CLASSES,
    ):
        self.config: Any = build(plugin.Config, settings)
        self.spec = spec
        self.folder = folder
        self.conditions = Conditions.balanced(SAMPLES, spec.n_classes)
        self.request = Request(self.conditions)
        plan = plan_of(plugin, self.config, spec, self.request)
        self.ledger = Ledger(calibrate(plan, BUDGET))
        self.key = NoiseKey.from_seed(0)
        self.home = folder / attempt
        for path in (self.home, folder / "elsewhere"):
            path.mkdir(parents=True, exist_ok=True)
        with self._phase() as run:
            self.method = plugin(self.config, spec)
            public = bars(bars_spec(spec.resolution, spec.channels, classes=public_classes), 200, seed=2)
            for prepare in (self.method.prepare, self.method.prepare_sampling):
                prepare(None if plugin.track == "none" else public, run)

    def fit(self) -> None:
        """The private phase."""
        self._fit(Checkpoints(None))

    def fit_until(self, releases: int) -> None:
        """The private phase up to a release, which is recorded but not returned, as when the process is killed.

        Raises:
            Killed: after `releases` releases, unless `fit` ends before that.
        """
        self.ledger = _FatalLedger(self.ledger.plan, self._ledger_file, releases)
        self._fit(self._kept)

    def fit_after(self, killed: SmallTrial) -> None:
        """The private phase of a new attempt at the same trial, after one that was killed."""
        self.key = killed.key
        self.ledger = Ledger.at(self._ledger_file, self.ledger.plan)
        self._fit(self._kept)

    @property
    def _ledger_file(self) -> Path:
        return self.home / "ledger.json"

    @property
    def _kept(self) -> Checkpoints:
        return Checkpoints(self.home / "checkpoints", code="of this process")

    def _fit(self, checkpoints: Checkpoints) -> None:
        noise, sensitive = NoiseSource(key=self.key), bars(self.spec, self.spec.n_train, seed=1)
        vault = Vault(sensitive, self.spec, self.ledger, noise, checkpoints=checkpoints, request=self.request)
        with self._phase(checkpoints=checkpoints) as run:
            run.cache.close()
            self.method.fit(vault, run)

    def sample(self, conditions: Conditions | None = None, seed: int = 0, by: Method[Any] | None = None) -> Tensor:
        """Images by this trial's method, or by another one."""
        with self._phase(seed) as run:
            run.cache.close()
            return (by or self.method).sample(conditions or self.conditions, run)

    @contextmanager
    def _phase(self, seed: int = 0, checkpoints: Checkpoints | None = None) -> Iterator[RunContext]:
        """The working environment of one phase: seeded, with test splits closed, in an empty working directory."""
        cache, checkpoints = PublicCache(self.folder / "public"), checkpoints or Checkpoints(None)
        with torch.random.fork_rng(devices=[]), Seal().closed(), chdir(self.folder / "elsewhere"):
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(seed)
            yield RunContext("cpu", generator, cache, folder=self.home, checkpoints=checkpoints)


class Killed(Exception):
    """Stands for the end of the process."""


class _FatalLedger(Ledger):
    """A ledger that kills the process once it has recorded `releases` releases."""

    def __init__(self, plan: CalibratedPlan, path: Path, releases: int):
        super().__init__(plan, path)
        self._releases = releases

    def spend(self, mechanism: Mechanism) -> Receipt:
        """See `Ledger.spend`."""
        receipt = super().spend(mechanism)
        if sum(self.spent.values()) == self._releases:
            raise Killed
        return receipt

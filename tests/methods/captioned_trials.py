"""Methods fitted to the bars with captions of `captioned_bars`."""

from __future__ import annotations

from typing import Any

import torch
from captioned_bars import PROMPTS, captioned_bars
from planned import plan_of

from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.method import Method
from dpbench.core.registries import METHODS
from dpbench.core.specs import Budget, Conditions, Request
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.vault import Vault

SENSITIVE = captioned_bars("sensitive", 400)

REQUEST = Request(Conditions.balanced(128, PROMPTS))


def fitted(
    name: str, settings: dict[str, Any], public: ImageDataset | None, run: RunContext, epsilon: float = float("inf")
) -> Method[Any]:
    """A method of these settings after `fit`, with its whole plan spent."""
    plugin = METHODS.get(name)
    torch.manual_seed(0)
    method = plugin(build(plugin.Config, settings), SENSITIVE.spec)
    ledger = Ledger(calibrate(plan_of(method, REQUEST), Budget(epsilon, 1e-5)))
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    method.fit(Vault(SENSITIVE, SENSITIVE.spec, ledger, NoiseSource(key=NoiseKey.from_seed(0))), run)
    ledger.check_complete()
    return method

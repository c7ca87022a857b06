"""The settings shared by all methods that train by DP-SGD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dpbench.core.config import option
from dpbench.core.specs import DatasetSpec
from dpbench.privacy.mechanisms.mechanism import DPSGD


@dataclass(frozen=True)
class DPSGDSettings:
    """Settings of private training; a method's `Config` inherits them and sets its own defaults."""

    batch: int = option(2048, "expected records per private step (Poisson)", low=1)
    steps: int = option(150, "private steps", low=1)
    clip: float = option(1.0, "bound on the norm of one record's gradient", above=0)
    clipping: Literal["flat", "automatic"] = option(
        "flat", "flat: min(1, clip/norm) times a gradient; automatic: clip/(norm + 0.01) times, nearly normalised"
    )
    lr: float = option(2e-3, "peak learning rate of DP-Adam", above=0, high=10)
    ema: float = option(0.9, "decay of the weights' moving average over private steps", low=0, below=1)
    ema_warmup: bool = option(
        False, "limit the average's decay to (1 + k) / (10 + k) in step k: a short training forgets its first weights"
    )
    schedule: Literal["linear", "constant"] = option(
        "linear", "learning rate: rises in 5% of the steps, then falls to zero, both linearly; or stays constant"
    )
    views: int = option(1, "draws per record (noise, augmentation) whose gradients are averaged, then clipped", low=1)
    engine: Literal["book-keeping", "opacus", "vmap"] = option("book-keeping", "how per-example gradients are made")
    micro_batch: int = option(0, "rows per call of the model in a private step; 0 chooses by memory and cache", low=0)
    gradient_checkpointing: bool = option(False, "recompute activations: less memory, more time, nothing else")

    def mechanism(self, name: str, spec: DatasetSpec) -> DPSGD:
        """The mechanism with these settings; its noise is to be calibrated."""
        return DPSGD(name=name, clip=self.clip, n=spec.n_train, expected_batch=self.batch, steps=self.steps)

    def stepper_options(self) -> dict[str, Any]:
        """The keyword arguments of `PrivateData.dp_sgd` for these settings."""
        return {"views": self.views, "micro_batch": self.micro_batch, "engine": self.engine, "clipping": self.clipping}

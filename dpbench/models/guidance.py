"""What classifier-free guidance (arXiv 2207.12598) asks of a model's training."""

from __future__ import annotations

from dpbench.core.errors import ConfigError


def check_guidance(guidance: float, label_dropout: float) -> None:
    """Checks that a model that is sampled with guidance also learns to do without its condition.

    Args:
        guidance: weight of classifier-free guidance; 1 disables it.
        label_dropout: probability that the condition is dropped in training.

    Raises:
        ConfigError: it does not.
    """
    if guidance != 1 and not label_dropout:
        raise ConfigError(
            "guidance needs a model trained with label_dropout above 0, e.g. 0.1; set it, or set guidance=1"
        )

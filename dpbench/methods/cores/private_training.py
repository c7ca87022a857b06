"""DP-SGD training shared by all methods: learning-rate schedule, moving average, checkpoints and progress bar."""

from __future__ import annotations

import torch
from torch import nn

from dpbench.core.context import RunContext
from dpbench.privacy.dp_sgd_settings import DPSGDSettings
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.private_data import PrivateData
from dpbench.training.loop import train


def train_privately(
    private: PrivateData,
    mechanism: str,
    model: nn.Module,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    settings: DPSGDSettings,
    run: RunContext,
    title: str,
) -> None:
    """Spends a DP-SGD mechanism of the plan to train the parameters held by `optimizer`.

    Args:
        private: the sensitive records.
        mechanism: name of the mechanism in the plan.
        model: trained in place; ends with the moving average of its weights.
        loss: (model, batch, generator) -> one loss per record and view, [b].
        optimizer: holds the trained parameters; its learning rate is the peak of the schedule.
        settings: views, gradient engine, micro-batch size, schedule and decay of the moving average.
        run: progress, checkpoints and the experiment's generator.
        title: name of the progress bar and the checkpoint.
    """
    train(
        private.dp_sgd(mechanism, model, loss, optimizer, run.generator, **settings.stepper_options()),
        model,
        optimizer,
        run,
        title,
        ema=settings.ema,
        ema_warmup=settings.ema_warmup,
        schedule=settings.schedule,
        note=private.ledger.progress,
    )

"""Settings with which the latent diffusion methods learn the bars of `conftest` in a few seconds."""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    "autoencoder_channels": (8, 16), "latent_channels": 2, "autoencoder_steps": 40, "autoencoder_batch": 16,
    "autoencoder_lr": 5e-3, "channels": (16,), "attention": 1, "context": 16, "public_steps": 50, "public_batch": 24,
    "public_lr": 5e-3, "prediction": "v_prediction", "batch": 40, "steps": 30, "lr": 2e-2, "micro_batch": 64,
    "sampling_steps": 6,
}  # fmt: skip
SHORT: dict[str, Any] = TINY | {"autoencoder_steps": 1, "public_steps": 1, "steps": 2, "batch": 20, "sampling_steps": 2}

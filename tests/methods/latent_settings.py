"""Settings with which the latent diffusion methods learn the bars of `conftest` in a few seconds."""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    "autoencoder_channels": (8, 16), "latent_channels": 2, "autoencoder_steps": 60, "autoencoder_batch": 16,
    "autoencoder_lr": 5e-3, "channels": (16,), "attention": 1, "context": 16, "public_steps": 60, "public_batch": 32,
    "public_lr": 5e-3, "prediction": "v_prediction", "batch": 64, "steps": 40, "lr": 1e-2, "micro_batch": 128,
    "sampling_steps": 6,
}  # fmt: skip
SHORT: dict[str, Any] = TINY | {"autoencoder_steps": 1, "public_steps": 1, "steps": 2, "batch": 20, "sampling_steps": 2}

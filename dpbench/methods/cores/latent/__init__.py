"""Latent diffusion models, and adapters of their attention."""

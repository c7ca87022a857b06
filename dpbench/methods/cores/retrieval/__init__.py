"""Public diffusion models conditioned on retrieved neighbours."""

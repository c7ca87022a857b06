"""Per-example gradient engines: sums of clipped per-example gradients, and what bounds their norms."""

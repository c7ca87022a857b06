"""Settings of a wavelet trial of a few seconds, for tests that start processes."""

TINY = {
    "levels": 1, "codes": 8, "tokenizer_steps": 3, "tokenizer_dim": 8,
    "dim": 16, "depth": 1, "heads": 2, "public_steps": 5, "public_batch": 8, "batch": 50,
    "steps": 4, "refiner.name": "bicubic",
}  # fmt: skip

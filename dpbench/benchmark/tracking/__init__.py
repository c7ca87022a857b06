"""Loggers of experiments: what the progress of a run shows, and its scores, for other programs."""

"""Datasets that lie on disk: the field's benchmarks, and folders of a user's own images."""

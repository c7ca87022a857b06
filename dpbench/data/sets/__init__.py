"""Datasets on disk: common benchmarks, and folders of a user's own images."""

"""Datasets that are generated, so that everything runs offline."""

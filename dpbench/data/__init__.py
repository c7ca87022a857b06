"""Shared dataset loaders: sensitive datasets, public sources, file formats."""

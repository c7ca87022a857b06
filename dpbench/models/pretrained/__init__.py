"""Pretrained weights: published files, local lookup, download and loading."""

"""Pretrained weights: what is published, where it lies, how it is downloaded and checked."""

"""Pretrained weights: what is published, where it is on this machine, how it is downloaded and loaded."""

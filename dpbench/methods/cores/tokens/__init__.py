"""Autoregressive models of image tokens."""

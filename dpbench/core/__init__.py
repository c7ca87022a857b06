"""Interfaces that every part of dpbench may import: plugin base classes, specs, registries, errors. Needs no torch."""

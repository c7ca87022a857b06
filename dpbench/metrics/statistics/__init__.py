"""Distances and neighbourhoods of feature sets, which several metrics share."""

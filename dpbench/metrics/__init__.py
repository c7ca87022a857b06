"""The metrics, one file per family.

A metric file declares columns and protocol, and does not import torch. The computations are in `statistics`,
`classifiers` and `extractors`, which `compute` imports when it is called.
"""

"""What is measured: one file per family of metrics.

A metric file declares columns, protocol and needs, and imports no torch. What computes the numbers is in `statistics`,
`classifiers` and `extractors`, which `compute` imports.
"""

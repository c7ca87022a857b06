"""Image classifiers for metrics, one file per family. They never change, since scores are compared across papers.

All take float images [b, c, h, w] in [-1, 1], with 1 or 3 channels.
"""

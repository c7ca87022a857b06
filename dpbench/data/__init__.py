"""Datasets: sensitive datasets, public sources, generated images, and the views and file formats they share."""

"""The checks of `dpbench doctor`: packages, hardware, folders, and the files of datasets and weights."""

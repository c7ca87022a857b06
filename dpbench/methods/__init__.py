"""The generators, one file per method (the wavelet method is a folder)."""

"""The image generators, one file per method. The wavelet method is a folder."""

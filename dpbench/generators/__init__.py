"""Public generators: random images and variations of given ones, from public data alone."""

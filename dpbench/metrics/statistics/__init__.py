"""The computations of metrics: distances, nearest neighbours, likelihoods and attacks on sets of features or images."""

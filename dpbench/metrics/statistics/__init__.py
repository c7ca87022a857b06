"""How metrics are computed: distances, neighbourhoods, likelihoods and attacks on sets of features or images."""

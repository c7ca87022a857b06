"""Detail stages: coarse image -> full image, from public data only."""

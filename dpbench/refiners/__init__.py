"""Detail stages: coarse image -> full image, trained on public data only."""

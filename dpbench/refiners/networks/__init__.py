"""The networks of trained refiners and their training."""

"""Training on noisy central images before DP-SGD."""

"""Figures for papers: scores by ε, by method and by cost, and sheets of samples."""

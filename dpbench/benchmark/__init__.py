"""Comparisons and how they run: request, session, trial, stages, and the commands as functions."""

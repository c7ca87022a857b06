"""Experiment trackers: send the progress of a run and its scores to other programs."""

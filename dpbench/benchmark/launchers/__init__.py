"""Launchers run the trials of a command: one module for each `--launcher`, and their shared parts."""

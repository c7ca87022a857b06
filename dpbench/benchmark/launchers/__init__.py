"""How the trials of a command are run: one module for each `--launcher`, and what they share."""

"""Checks of closures and models, on synthetic probe records (rule R1)."""

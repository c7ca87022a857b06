"""Textual inversion, and the public generators that it prompts."""

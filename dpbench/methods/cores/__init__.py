"""Parts that several methods share, one file per kind of generator or query."""

"""Sources of candidate captions, and variations of captions."""

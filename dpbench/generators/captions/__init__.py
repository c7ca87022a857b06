"""Where candidates that are captions come from, and how a caption is varied."""

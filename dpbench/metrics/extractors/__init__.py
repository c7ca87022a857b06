"""What metrics see instead of pixels: one file per extractor."""

"""Feature extractors, one file per extractor."""

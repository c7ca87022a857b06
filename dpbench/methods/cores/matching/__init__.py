"""Generators that match released mean embeddings."""

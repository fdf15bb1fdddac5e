"""Embeddings: described, found in the cache, created batch by batch, opened."""

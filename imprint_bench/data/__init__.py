"""Datasets, foundation models and the cache of embeddings."""

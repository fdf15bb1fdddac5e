"""Readers of embeddings and labels from files, one module per format."""

"""Generators: from the embeddings of a class (or of all classes) to proxies."""

"""Kinds of foundation models: one module each."""

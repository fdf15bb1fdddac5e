"""Layouts in which datasets lie on disk: one module each."""

"""Benchmarks that anyone can repeat; they report ratios."""

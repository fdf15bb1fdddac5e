"""Prototype sets by name, one module each; see `imprint_bench.fixed.core.prototype_set`."""

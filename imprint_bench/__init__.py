"""Set the last layer of a frozen network from data, without training it."""

__version__ = "0.1.0"

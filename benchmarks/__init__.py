"""What the engine costs, measured in one run: `python -m benchmarks --help`."""

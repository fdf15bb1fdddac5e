"""What foundation models share: preparing images, running networks, reading weights."""

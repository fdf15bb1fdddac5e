"""Training of a network with a head: recipes, data, the trainer, what comes out of it."""

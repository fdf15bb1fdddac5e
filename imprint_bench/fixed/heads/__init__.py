"""Last layers of a network, learned and fixed: one module each."""

"""Training towards a last layer that is fixed beforehand."""

"""Files from the network: fetched whole and checked, or not at all."""

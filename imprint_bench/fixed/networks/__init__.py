"""Networks that map images to features, to be trained with a head of `fixed.heads`."""

from imprint_bench.fixed.networks.network import NETWORKS, build_network, weights_drawn_from

__all__ = ["NETWORKS", "build_network", "weights_drawn_from"]

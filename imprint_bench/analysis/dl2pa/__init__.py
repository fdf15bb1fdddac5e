"""The tables and figures of DL2PA (Saadabadi et al., CVPR 2024), from rows of training runs."""

"""How good a correction is: metrics, slices, peers on the same pixels, tables."""

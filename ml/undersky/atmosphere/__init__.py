"""The atmosphere between ground and satellite: 6S emulated, inverted and checked against a second code."""

"""Simulated acquisitions: a known ground under a known sky, seen by a known sensor."""

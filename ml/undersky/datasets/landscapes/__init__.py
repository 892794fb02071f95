"""Simulated ground with known land cover, as a sensor's surface product shows it."""

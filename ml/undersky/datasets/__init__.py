"""Scenes to measure on: frozen simulated suites and real archive pairs."""

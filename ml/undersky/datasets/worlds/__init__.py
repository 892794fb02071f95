"""Simulated worlds that a correction learns from: textures, materials and airs, composed at every step."""

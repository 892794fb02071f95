"""A recipe that trains within seconds, for tests that need a real training."""

MINIATURE = """
name: miniature
task: correction
seed: 3
steps: 6
batch_size: 3
learning_rate: 3.0e-3
ema_decay: 0.5
dataset: {airs: {count: 40, validation: 30}, ground: {textures: 18}}
network: {width: 12, heads: 2, hypothesis_width: 12, embedding: 8, rank: 2}
loss: {pixels: 48}
"""
"""The smallest correction that can be trained: seconds."""

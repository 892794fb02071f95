"""Networks and the packages that carry them: safetensors weights, JSON config, one digest."""

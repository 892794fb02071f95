"""Lets the tests here and their child processes import `scenes`; one thread, for the arrays are small."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)

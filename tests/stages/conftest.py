"""Lets the stage's tests, and their child processes, import the memory scene and the scores of maps."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

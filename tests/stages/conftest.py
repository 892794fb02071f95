"""Lets the stage's tests, and the child processes they start, import the memory scene."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

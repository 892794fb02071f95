"""The command line: a verb is a stage. Errors become exit codes, results a few lines or one JSON object."""

from undersky.cli.run import main

__all__ = ["main"]

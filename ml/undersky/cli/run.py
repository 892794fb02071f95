"""From arguments to an exit code: 0 done, 2 command or setting, 3 product, 75 try again later."""

import json
import os
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from undersky.cli.outcome import Outcome
from undersky.cli.parser import make_parser
from undersky.errors import DataError, UnderskyError
from undersky.log import set_up_logs
from undersky.settings import one_thread_a_library, read_settings

_INTERRUPTED, _ENDED = 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit code."""
    if os.getpid() == 1:
        end_when_told()
    one_thread_a_library()
    arguments = make_parser().parse_args(argv)
    screen = Console(stderr=True, quiet=arguments.json or not sys.stderr.isatty())
    try:
        settings = read_settings()
        set_up_logs(level=settings.log_level, json=settings.log_format == "json")
        outcome: Outcome = arguments.verb(arguments, settings, screen)
    except UnderskyError as error:
        _report(error, as_json=arguments.json)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing that looks finished was left behind\n")
        return _INTERRUPTED
    if arguments.json:
        sys.stdout.write(json.dumps(outcome.result, indent=1, allow_nan=False) + "\n")
    else:
        outcome.show(Console(highlight=False, soft_wrap=True))
    return outcome.exit_code


def end_when_told() -> None:
    """SIGTERM ends this process wherever nothing better is done about it.

    The first process of a container is init to the kernel, which drops each signal that init does not handle.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED))


def _report(error: UnderskyError, *, as_json: bool) -> None:
    """The sentence on standard error; with --json also an object on standard output."""
    reason = error.reason.value if isinstance(error, DataError) else type(error).__name__
    if as_json:
        sys.stdout.write(json.dumps({"error": {"reason": reason, "message": str(error)}}) + "\n")
    sys.stderr.write(f"{reason}: {error}\n")

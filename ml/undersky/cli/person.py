"""Who types: the name under which a change by hand stands in the history."""

import os
import pwd

from undersky.services.ledger import Actor


def person() -> Actor:
    """The user of this process, by the system's account and not by what the environment claims."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # containers run under numbers that have no name
        name = f"user {os.getuid()}"
    return Actor(run=name)

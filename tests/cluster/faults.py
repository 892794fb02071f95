"""What can happen to a pod, or to the API server while it runs. Each name is one that a test scripts.

evicted         its node is short of memory: told to end, killed after its grace, reason Evicted
preempted       the scheduler needs its room: told to end, then gone
oom             killed for its use of memory, unless it was given more than the first time
vanished        deleted in the middle of its work by nobody knows whom
collected       it ends well, and is cleared away before anybody looks
unknown         its node no longer reports: phase Unknown; only a forced deletion removes it
node_lost       the same, and the taint manager has deleted it
slow_image      its image takes a while
no_image        its image does not come
create_lost     it is made, and the answer to whoever asked for it is lost
stuck           somebody deletes it, and its node does not let go of it
api_away_early  the API server is away for some seconds while the image is fetched
api_restarts    the API server is away for some seconds while it works
api_fails       the API server answers 500, 503 and 429 for a while
"""

from enum import StrEnum


class Fault(StrEnum):
    EVICTED = "evicted"
    PREEMPTED = "preempted"
    OOM = "oom"
    VANISHED = "vanished"
    COLLECTED = "collected"
    UNKNOWN = "unknown"
    NODE_LOST = "node_lost"
    SLOW_IMAGE = "slow_image"
    NO_IMAGE = "no_image"
    STUCK = "stuck"
    API_AWAY_EARLY = "api_away_early"
    CREATE_LOST = "create_lost"
    API_RESTARTS = "api_restarts"
    API_FAILS = "api_fails"


MIDWAY = (
    Fault.EVICTED,
    Fault.PREEMPTED,
    Fault.OOM,
    Fault.VANISHED,
    Fault.UNKNOWN,
    Fault.NODE_LOST,
    Fault.STUCK,
    Fault.API_RESTARTS,
    Fault.API_FAILS,
)
"""These happen while the process works."""

"""What an end means to Airflow: the only place where exit codes and errors become retries.

    exit 0    every scene of the batch has a final outcome
    exit 2    ConfigError     an operator must act          never tried again
    exit 3    DataError       a model that is refused       never tried again
    exit 75   ServiceError    time must pass                tried again, the wait doubles
    else      unexpected: a crash, a signal                 tried once more, a stage twice
    timeout   it hangs: its scenes are given back to a later run, this task is not tried again

    pod taken away, or never begun (see `endings`)          tried again, the wait doubles
    pod whose container cannot be made                      as exit 2
    pod killed for its use of memory                        as a crash, with more memory from then on

A stage that was killed is tried twice more, because it knows only the third time which scene kills it: that
one fails, and the others of the batch are done.
"""

import signal
from collections.abc import Sequence
from datetime import timedelta

from airflow.sdk import Context, RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from undersky.errors import ConfigError, DataError, ServiceError
from undersky_airflow.endings import PodEnd, PodEnding

TRIES_AGAIN = 3
TRAINING_TRIES_AGAIN = 50
"""A training gives way to scenes as often as they need its GPU, and goes on from its checkpoint."""
FIRST_WAIT = timedelta(seconds=20)
LONGEST_WAIT = timedelta(minutes=10)
_CRASHES = "undersky_crashes"


class StageUnfinished(AirflowException):
    """Some scenes of the batch met a service that failed; the others have their outcome."""


class StageCrashed(AirflowException):
    """The stage ended in a way that nobody planned."""


class StageOutOfMemory(StageCrashed):
    """The stage needed more memory than its pod had; the next try has more."""


class StageInterrupted(AirflowException):
    """The pod was taken away, or never began: no fault of the stage."""


def code_of(end: PodEnd, pod: str) -> int:
    """Exit code of the stage in a pod that ended.

    Args:
        end: How.
        pod: Its name, for the message.

    Raises:
        StageOutOfMemory: It was killed for its use of memory.
        StageInterrupted: It was taken away, or never began.
        AirflowTaskTimeout: It ran into its deadline.
        AirflowFailException: Its container cannot be made.
    """
    sentence = f"pod {pod}: {end.ending}: {end.said}"
    if end.ending in (PodEnding.COMPLETED, PodEnding.FAILED) and end.code is not None:
        return end.code
    if end.ending is PodEnding.OUT_OF_MEMORY:
        raise StageOutOfMemory(sentence)
    if end.ending is PodEnding.DEADLINE:
        raise AirflowTaskTimeout(sentence)
    if end.ending is PodEnding.MISCONFIGURED:
        raise AirflowFailException(f"{sentence}; correct it, a later run tries again")
    raise StageInterrupted(sentence)


def accept(code: int, arguments: Sequence[str]) -> None:
    """Returns where the exit code is 0.

    Args:
        code: Exit code of the stage; negative for a signal, as `subprocess` has it.
        arguments: Of the command that ran, for the message.

    Raises:
        AirflowFailException: A setting is wrong, or a model or its data is refused.
        StageUnfinished: Some scenes are to be tried again.
        StageCrashed: Anything else.
    """
    if code == 0:
        return
    where = f"`undersky {' '.join(arguments)}`"
    if code == ConfigError.exit_code:
        message = f"{where} refuses its settings (exit 2): correct what it names; a later run tries again"
        raise AirflowFailException(message)
    if code == DataError.exit_code:
        raise AirflowFailException(f"{where} refuses what it was given (exit 3): see its last lines above")
    if code == ServiceError.exit_code:
        raise StageUnfinished(f"{where} has work to try again (exit 75): a service failed, see above")
    raise StageCrashed(f"{where} ended unexpectedly ({_spelled(code)}): see its last lines above")


def _spelled(code: int) -> str:
    number = -code if code < 0 else code - 128
    try:
        return f"exit {code}, {signal.Signals(number).name}"
    except ValueError:
        return f"exit {code}"


class RetryRule(RetryPolicy):
    """The one retry rule, for stages and steps alike."""

    def __init__(self, again: int = TRIES_AGAIN) -> None:
        """A rule for operators whose `retries` are `again`."""
        self._again = again

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """What becomes of a failed try; the operator's `retries` bounds it."""
        # Clearing a task raises max_tries by `retries`: what counts is the tries since then.
        before = max(0, max_tries - self._again)
        used = max(1, try_number - before)
        if isinstance(exception, ConfigError | DataError):
            return RetryDecision.fail("trying again changes nothing")
        if isinstance(exception, AirflowTaskTimeout):
            return RetryDecision.fail("it hung: a later run takes its scenes")
        if isinstance(exception, ServiceError | StageUnfinished | StageInterrupted):
            wait = min(FIRST_WAIT * 2 ** min(used - 1, 9), LONGEST_WAIT)
            why = "no fault of the stage" if isinstance(exception, StageInterrupted) else "a service failed"
            return RetryDecision.retry(wait, reason=f"{why}: again in {wait.seconds} s")
        if isinstance(exception, StageCrashed):
            # Tries that were interrupted are no crashes: these are counted where Airflow remembers them.
            used = _crashes(context, try_number, after=before) or used
        if used <= (2 if isinstance(exception, StageCrashed) else 1):
            return RetryDecision.retry(FIRST_WAIT, reason="unexpected: tried once more")
        return RetryDecision.fail("unexpected again and again")


def _crashes(context: Context | None, try_number: int, *, after: int) -> int:
    """How many tries since the last clearing crashed, this one included; 0 where nobody remembers."""
    notes = context.get("task_state_store") if context else None
    if notes is None:
        return 0
    known = notes.get(_CRASHES) or []
    tries = {number for number in known if isinstance(number, int)} if isinstance(known, list) else set()
    tries.add(try_number)
    notes.set(_CRASHES, list(tries))
    return sum(number > after for number in tries)

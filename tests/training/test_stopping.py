"""Signals: a step is finished, anything else is broken off."""

import os
import signal
import threading

import pytest

from undersky.errors import ServiceError
from undersky.training.stopping import stopping

BOTH = (signal.SIGTERM, signal.SIGINT)


def send(number):
    os.kill(os.getpid(), number)


def between_steps(number, went_on):
    with stopping():
        send(number)
        went_on.append("after the signal")


def during_a_step(number, went_on):
    with stopping() as stop:
        with stop.finishing():
            send(number)
            send(number)
            went_on.append(f"the step, asked {stop.asked}")
        went_on.append("after the step")


def with_an_error(number, _went_on):
    with stopping() as stop, stop.finishing():
        send(number)
        raise KeyError


def beside_a_net(number, went_on):
    with stopping():
        try:
            send(number)
        except Exception:  # noqa: BLE001  that is the claim
            went_on.append("swallowed")


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("what", [between_steps, beside_a_net])
def test_a_signal_between_steps_ends_what_is_within_at_once(number, what):
    went_on = []
    with pytest.raises(ServiceError, match="the same command"):
        what(number, went_on)
    assert went_on == []


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_during_a_step_is_only_noted_and_ends_it_afterwards(number):
    went_on = []
    with pytest.raises(ServiceError):
        during_a_step(number, went_on)
    assert went_on == ["the step, asked True"]


def test_an_error_during_a_step_is_not_hidden_by_a_signal():
    with pytest.raises(KeyError):
        with_an_error(signal.SIGTERM, [])


def test_afterwards_signals_do_what_they_did_before():
    before = [signal.getsignal(number) for number in BOTH]
    with stopping():
        assert [signal.getsignal(number) for number in BOTH] != before
    assert [signal.getsignal(number) for number in BOTH] == before


def test_outside_the_main_thread_nothing_changes():
    found = []

    def elsewhere():
        with stopping() as stop:
            found.append(stop.asked)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [False]


def test_a_forked_worker_ends_by_the_signal_as_if_there_was_no_handler():
    with stopping() as stop:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(5)
        _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
    assert not stop.asked

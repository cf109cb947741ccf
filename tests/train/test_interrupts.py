from __future__ import annotations

import os
import signal
import threading

import pytest

from train.interrupts import interrupts


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_is_asked_for_and_the_second_does_not_wait() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="pressed again"), interrupts() as interrupted:  # noqa: PT012
        assert not interrupted()
        press()
        assert interrupted()
        try:
            press()
        except KeyboardInterrupt:
            raise KeyboardInterrupt("pressed again") from None
    assert signal.getsignal(signal.SIGINT) is before


def test_one_that_nobody_asked_about_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts():
        press()
    with interrupts():
        pass


def test_somebody_elses_handler_and_other_threads_are_left_alone() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with interrupts() as interrupted:
            press()
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    answers: list[bool] = []

    def in_a_thread() -> None:
        with interrupts() as interrupted:
            answers.append(interrupted())

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert answers == [False]

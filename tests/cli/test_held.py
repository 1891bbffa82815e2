from __future__ import annotations

import signal
import threading

import pytest

from w2svqa.cli.interrupts import Interrupts, held


def hold_and_interrupt(done: list[str], times: int) -> None:
    with held():
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        done.append("block")
    done.append("after")


def test_first_interrupt_waits_for_the_block() -> None:
    done: list[str] = []
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            hold_and_interrupt(done, 1)
        assert interrupts.exit_code == 130
    assert done == ["block"]


def test_second_interrupt_does_not_wait() -> None:
    done: list[str] = []
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        hold_and_interrupt(done, 2)
    assert done == []


def test_outside_a_block_an_interrupt_is_at_once() -> None:
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert interrupts.exit_code == 143


@pytest.fixture(autouse=True)
def handlers_as_before() -> object:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_without_interrupts_nothing_is_held() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        hold_and_interrupt(done, 1)
    assert done == []


def test_other_threads_may_use_it() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Interrupts(), held():
                pass
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []

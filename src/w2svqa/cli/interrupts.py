"""Ctrl-C and termination: what is finished is kept, and nothing is written by halves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_EXIT_OFFSET: Final = 128
"""Shells report a program that ended by signal n as 128 + n: 130 for Ctrl-C."""

Handler = Callable[[int, FrameType | None], object] | int | None


class Interrupts:
    """While entered, SIGINT and SIGTERM raise :class:`KeyboardInterrupt`, but not inside :func:`held`.

    A second signal is obeyed at once, also inside :func:`held`, so that a stuck write can be left. Outside the main
    thread, where Python delivers no signals, this does nothing.

    Attributes:
        received: the signals so far.
    """

    _current: Interrupts | None = None

    def __init__(self) -> None:
        self.received: list[int] = []
        self._is_holding = False
        self._previous: dict[signal.Signals, Handler] = {}

    @property
    def exit_code(self) -> int:
        """The code to exit with after an interrupt: 130 for Ctrl-C, 143 for SIGTERM."""
        return _EXIT_OFFSET + (self.received[0] if self.received else signal.SIGINT)

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        Interrupts._current = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        Interrupts._current = None
        for number, handler in self._previous.items():
            # after one interrupt the program is ending: another must not print a traceback on the way
            signal.signal(number, signal.SIG_IGN if self.received else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received.append(number)
        if not self._is_holding or len(self.received) > 1:
            raise KeyboardInterrupt

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Put off a first interrupt until the block is done."""
        before = len(self.received)
        self._is_holding = True
        try:
            yield
        finally:
            self._is_holding = False
        if len(self.received) > before:
            raise KeyboardInterrupt


@contextmanager
def held() -> Iterator[None]:
    """Put off a first interrupt until the block is done; without :class:`Interrupts` around it, do nothing.

    Raises:
        KeyboardInterrupt: after the block, if a signal came inside it.
    """
    current = Interrupts._current
    if current is None:
        yield
        return
    with current.hold():
        yield

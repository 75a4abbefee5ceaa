"""Stopping on request: Ctrl-C and SIGTERM ask, and a run saves before it ends."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


class Stopped(Exception):
    """The run was asked to stop by a signal; everything is saved and the same command goes on."""

    def __init__(self, number: int) -> None:
        """Keeps the number of the signal."""
        super().__init__(f"stopped by signal {number}")
        self.signal = number


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """Within, Ctrl-C and SIGTERM only set what is yielded, the signal's number or 0; a second Ctrl-C stops at once."""
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        del frame
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received[0] if received else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

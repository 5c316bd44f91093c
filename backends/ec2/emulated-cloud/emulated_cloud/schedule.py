"""Things that happen later, one at a time and under the lock of the cloud."""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
import time
import traceback
from collections.abc import Callable


class Schedule:
    """One thread that carries out actions when they are due.

    moto is not made for several threads: requests and scheduled actions take turns by the same lock.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._changed = threading.Condition()
        self._number = itertools.count()
        self._actions: list[tuple[float, int, Callable[[], None]]] = []
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)
        self._thread.start()

    def after(self, delay_ms: float, action: Callable[[], None]) -> None:
        """Carries out `action` in `delay_ms`. An action that is no longer wanted checks that itself."""
        with self._changed:
            entry = (time.monotonic() + delay_ms / 1000, next(self._number), action)
            heapq.heappush(self._actions, entry)
            self._changed.notify()

    def end(self) -> None:
        """Forgets what is still to come."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                with self._lock:
                    action()
            except Exception:
                # One failed action must not stop the clock of all others.
                traceback.print_exc(file=sys.stderr)

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._ended:
                if not self._actions:
                    self._changed.wait()
                    continue
                wait_s = self._actions[0][0] - time.monotonic()
                if wait_s <= 0:
                    return heapq.heappop(self._actions)[2]
                self._changed.wait(wait_s)
            return None

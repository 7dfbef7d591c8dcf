"""Captured calls on their way from the training loop to the collector."""

import threading
import time
from collections import deque
from contextlib import suppress
from typing import cast

from bridge.client.calls import BatchCall, Call, FlushCall, Numbers
from bridge.client.capture.wakeup import Wakeup

CALL_BYTES = 512
"""The approximate size of a call, without its arrays."""

MIN_CALLS = 64


class CallQueue:
    """A bounded queue that never makes the training loop wait: appending to a deque takes no lock."""

    def __init__(self, limit_bytes: int) -> None:
        """Hold as many calls as fit into `limit_bytes`, not counting the copies of their arrays."""
        self._calls: deque[Call | Numbers] = deque()
        self._input = self._calls
        """Where calls are put: `_calls`, or a deque that keeps nothing once the queue is closed."""
        self._limit = max(MIN_CALLS, limit_bytes // CALL_BYTES)
        self.wake = Wakeup()
        """Wakes the collector."""
        self.is_watched = False
        """Whether the next call has to set `wake`; otherwise the loop is spared that cost."""
        self.is_closed = False
        """Whether new calls are ignored."""
        self.in_hand = 0
        """How many calls were taken but are not in the outbox yet; the collector resets it."""
        self._is_abandoned = False

    @property
    def is_full(self) -> bool:
        """Return whether there is no room for another batch, or for scalars."""
        return len(self._calls) >= self._limit

    @property
    def is_overfull(self) -> bool:
        """Return whether there is no room for an epoch or a status either, which may go beyond the limit."""
        return len(self._calls) >= 2 * self._limit

    @property
    def is_filling(self) -> bool:
        """Return whether it is time to take calls."""
        return len(self._calls) > self._limit // 2

    def put(self, call: Call) -> None:
        """Append a call."""
        self._input.append(call)
        if self.is_watched:
            self.wake.set()

    def put_numbers(self, numbers: Numbers) -> bool:
        """Append a batch that consists of numbers only, if there is room; return whether there was."""
        if len(self._calls) >= self._limit:
            return False
        self._input.append(numbers)
        if self.is_watched:
            self.wake.set()
        return True

    def take(self, limit: int, *, only_arrived: bool = True) -> list[Call]:
        """Remove and return the oldest calls, up to the first whose copies have not arrived."""
        calls = self._calls
        self.in_hand = min(len(calls), limit)  # never too low for `unfinished` in another thread
        taken: list[Call] = []
        while calls and len(taken) < limit:
            try:
                call = _to_call(calls.popleft())
            except IndexError:  # another thread has abandoned the queue meanwhile
                break
            if only_arrived and call.transfer is not None and not call.transfer.has_arrived:
                calls.appendleft(call)
                break
            taken.append(call)
        self.in_hand = len(taken)
        return taken

    def wait_until_taken(self, deadline: float) -> int:
        """Wait until the calls so far are in the outbox; return how many are not by the monotonic deadline."""
        marker = FlushCall(time.monotonic(), threading.Event())
        self.put(marker)
        self.wake.set()
        if self.is_closed or marker.done.wait(deadline - time.monotonic()):
            return 0  # closed: by another thread, and maybe before the marker was put in
        return max(0, self.unfinished - 1)

    def close(self) -> None:
        """Ignore new calls; those put before can still be taken."""
        self.is_closed = True
        self._input = deque(maxlen=0)
        self.wake.set()

    @property
    def is_drained(self) -> bool:
        """Return whether the queue is closed and all of its calls have been taken."""
        return self.is_closed and not self._calls

    def abandon(self) -> list[Call]:
        """Ignore new calls, and remove and return those left; takes no lock, so it works after a fork."""
        self.is_closed = self._is_abandoned = True
        self._input = deque(maxlen=0)
        self.is_watched = False
        left: list[Call] = []
        with suppress(IndexError):
            while True:  # another thread may be taking some of them at the same time
                left.append(_to_call(self._calls.popleft()))
        return left

    def is_abandoned(self) -> bool:
        """Return whether the calls taken before are no longer wanted either."""
        return self._is_abandoned

    @property
    def unfinished(self) -> int:
        """Return how many calls are not in the outbox yet."""
        return len(self._calls) + self.in_hand

    def __len__(self) -> int:
        """Return how many calls wait in the queue."""
        return len(self._calls)


def _to_call(call: Call | Numbers) -> Call:
    """Return an entry of the queue as a call."""
    return BatchCall(*call) if type(call) is tuple else cast("Call", call)

"""Captured calls on their way from the training loop to the collector."""

from collections import deque
from contextlib import suppress
from typing import cast

from bridge.client.calls import BatchCall, Call, Numbers
from bridge.client.capture.wakeup import Wakeup

CALL_BYTES = 512
"""What a call takes up, roughly, its arrays not counted."""

MIN_CALLS = 64


class CallQueue:
    """A bounded queue that never makes the training loop wait: appending to a deque takes no lock."""

    def __init__(self, limit_bytes: int) -> None:
        """Hold as many calls as fit into `limit_bytes`, the copies that belong to them not counted."""
        self._calls: deque[Call | Numbers] = deque()
        self._input = self._calls
        """Where calls are put: once the queue is closed, a deque that keeps nothing."""
        self._limit = max(MIN_CALLS, limit_bytes // CALL_BYTES)
        self.wake = Wakeup()
        """Ends the rest of the collector."""
        self.is_watched = False
        """The next call sets `wake`; else it need not cost the loop that."""
        self.is_closed = False
        """Nothing more is taken in."""
        self.in_hand = 0
        """How many of the calls that were taken are not in the outbox yet; the collector sets it to 0 then."""
        self._is_abandoned = False

    @property
    def is_full(self) -> bool:
        """Return whether another batch, or more scalars, would be too many."""
        return len(self._calls) >= self._limit

    @property
    def is_filling(self) -> bool:
        """Return whether it is time to take calls."""
        return len(self._calls) > self._limit // 2

    def put(self, call: Call) -> None:
        """Keep a call."""
        self._input.append(call)
        if self.is_watched:
            self.wake.set()

    def put_numbers(self, numbers: Numbers) -> bool:
        """Keep a batch that consists of numbers alone, if there is room; return whether there was."""
        if len(self._calls) >= self._limit:
            return False
        self._input.append(numbers)
        if self.is_watched:
            self.wake.set()
        return True

    def take(self, limit: int, *, only_arrived: bool = True) -> list[Call]:
        """Hand over the oldest calls, up to the first whose copies have not arrived."""
        calls = self._calls
        self.in_hand = min(len(calls), limit)  # never too few, for who counts meanwhile
        taken: list[Call] = []
        while calls and len(taken) < limit:
            try:
                call = _whole(calls.popleft())
            except IndexError:  # another thread has abandoned the queue meanwhile
                break
            if only_arrived and call.transfer is not None and not call.transfer.has_arrived:
                calls.appendleft(call)
                break
            taken.append(call)
        self.in_hand = len(taken)
        return taken

    def close(self) -> None:
        """Take nothing more in; what was put in before can still be taken."""
        self.is_closed = True
        self._input = deque(maxlen=0)
        self.wake.set()

    @property
    def is_drained(self) -> bool:
        """Return whether the queue is closed, and everything has been taken."""
        return self.is_closed and not self._calls

    def abandon(self) -> list[Call]:
        """Take nothing more in, and hand over what is left; takes no lock, so it works after a fork."""
        self.is_closed = self._is_abandoned = True
        self._input = deque(maxlen=0)
        self.is_watched = False
        left: list[Call] = []
        with suppress(IndexError):
            while True:  # another thread may be taking some of them at the same time
                left.append(_whole(self._calls.popleft()))
        return left

    def is_abandoned(self) -> bool:
        """Return whether what was taken is not wanted any more, either."""
        return self._is_abandoned

    @property
    def unfinished(self) -> int:
        """Count the calls that are not in the outbox yet."""
        return len(self._calls) + self.in_hand

    def __len__(self) -> int:
        """Count the calls that wait."""
        return len(self._calls)


def _whole(call: Call | Numbers) -> Call:
    """Return a call as what it is, whichever way it was put."""
    return BatchCall(*call) if type(call) is tuple else cast("Call", call)

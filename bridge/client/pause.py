"""Pausing the training loop."""

import time
from collections.abc import Callable
from math import inf

from bridge.client.calls import ResumedCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.commands import CommandInbox
from bridge.client.phases import IDLE, PhaseClock
from bridge.protocol import Status


class Pause:
    """Blocks the loop while it is paused; reports PAUSED when a pause begins and RUNNING when it ends."""

    def __init__(
        self,
        commands: CommandInbox,
        queue: CallQueue,
        *,
        report: Callable[[Status], None],
        is_abandoned: Callable[[], bool],
        phases: PhaseClock,
    ) -> None:
        """`is_abandoned` returns whether nothing is left that could end a pause."""
        self._commands = commands
        self._queue = queue
        self._report = report
        self._is_abandoned = is_abandoned
        self._phases = phases
        self._is_reported = False

    def wait(self, seconds: float = inf) -> None:
        """Wait until training may go on, for at most `seconds`."""
        if not self._is_reported:
            self._is_reported = True
            self._phases.enter_idle()
            self._report(Status.PAUSED)
        deadline = time.monotonic() + seconds
        self._commands.wait_while_paused(self._is_abandoned, lambda: time.monotonic() >= deadline)

    def end(self) -> None:
        """Report that training resumes, if it was reported as paused."""
        if not self._is_reported:
            return
        self._is_reported = False
        self._phases.leave(IDLE)
        self._queue.put(ResumedCall(time.monotonic()))
        if not self._commands.is_stopping:
            self._report(Status.RUNNING)

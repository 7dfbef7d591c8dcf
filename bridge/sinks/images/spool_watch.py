"""Watch the folder of the spool: is it there, may it be written to, how much room has it."""

from collections.abc import Callable

from bridge.sinks.images.disk_budget import Room
from bridge.sinks.images.shards.spool import Spool
from bridge.telemetry import Telemetry

RETRY_SECONDS = 1.0
"""A folder that is missing is asked for again after this."""


class SpoolWatch:
    """Looks at the spool from time to time, and sets the gauges that show it."""

    def __init__(
        self, spool: Spool, room: Room, telemetry: Telemetry, clock: Callable[[], float]
    ) -> None:
        """Look at nothing before `check`."""
        self.problem = ""
        """Why images cannot be kept at the moment, or ""."""
        self._spool = spool
        self._room = room
        self._telemetry = telemetry
        self._clock = clock
        self._remade = 0
        self._folder_due_at = 0.0

    def check(self) -> bool:
        """Look, and return whether the folder is to be made anew with the next commit."""
        self._room.look(self._spool.used_bytes)
        self._telemetry.spool_measured(self._spool.used_bytes, self._room.limit_bytes)
        while self._remade < self._spool.remade:
            self._remade += 1
            self._telemetry.spool_remade(str(self._spool.folder))
        problem, before = self._spool.problem(), self.problem
        if problem and not before:
            folder = str(self._spool.folder)
            self._telemetry.event("the spool cannot be used", problem=problem, folder=folder)
        self.problem = problem
        self._telemetry.spool_checked(is_usable=not problem)
        now = self._clock()
        if not problem or now < self._folder_due_at:
            return False
        self._folder_due_at = now + RETRY_SECONDS
        return True

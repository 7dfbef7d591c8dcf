"""Watch the folder of the spool: whether it can be written to, and how much room it has."""

from collections.abc import Callable

from bridge.sinks.images.disk_budget import DiskBudget
from bridge.sinks.images.shards.spool import Spool
from bridge.telemetry import Telemetry

RETRY_SECONDS = 1.0
"""A missing folder is made again after this."""


class SpoolWatch:
    """Checks the spool from time to time, and sets the gauges that show it."""

    def __init__(
        self,
        spool: Spool,
        disk_budget: DiskBudget,
        telemetry: Telemetry,
        clock: Callable[[], float],
    ) -> None:
        """Touch nothing before `check`."""
        self.problem = ""
        """Why images cannot be kept at the moment, or ""."""
        self._spool = spool
        self._disk_budget = disk_budget
        self._telemetry = telemetry
        self._clock = clock
        self._remade = 0
        self._folder_due_at = 0.0

    def check(self) -> bool:
        """Check once, and return whether the next commit is to make the folder again."""
        self._disk_budget.refresh(self._spool.used_bytes)
        self._telemetry.spool_measured(self._spool.used_bytes, self._disk_budget.limit_bytes)
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

"""What the log says of a database that bridges share while it does not answer: once that it goes, once that it is back."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from bridge.errors import DatabaseAwayError

log = logging.getLogger("bridge")

REMINDER_SECONDS = 60.0
"""While it is away, the log says so no more often."""

GONE = (
    "the database is away, or takes no commits: nothing is acknowledged until it does. Training loops go on, keep what they"
    " send as far as their buffers reach, and send it again; the bridge tries again by itself"
)
STILL_AWAY = "the database is still away, or takes no commits: nothing is acknowledged"
BACK = "the database is back: what has waited is acknowledged"


class DatabaseOutage:
    """Begins with a commit that fails, or with whoever else finds the server gone, and ends with the next commit."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Suppose that it answers."""
        self._clock = clock
        self._since: float | None = None
        self._reminded = 0.0
        self._commits_failed = 0
        self._has_covered = False

    def explains(self, error: BaseException, *, is_commit: bool = False) -> bool:
        """Return whether an error is one of a database that is away, which this has logged, or will now and then.

        A query that got no connection in time proves no outage by itself: all may be in use.
        """
        if not isinstance(error, DatabaseAwayError):
            return False
        if self._since is None and not (is_commit or error.is_certain):
            return False
        self._commits_failed += is_commit
        self._say(error)
        return True

    def end(self) -> None:
        """Note that a commit has succeeded."""
        if self._since is None:
            return
        fields = {
            "seconds": round(self._clock() - self._since, 1),
            "commits_failed": self._commits_failed,
        }
        self._since, self._commits_failed = None, 0
        log.warning(BACK, extra={"fields": fields})

    def covers_check(self, *, works: bool) -> bool:
        """Return whether the log says already what a check of the database has shown, or leaves it out on purpose."""
        if not works:
            self._has_covered = self._since is not None
            return self._has_covered
        has_covered, self._has_covered = self._has_covered, False
        return has_covered

    def _say(self, error: DatabaseAwayError) -> None:
        now = self._clock()
        if self._since is None:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            self._since = self._reminded = now
            log.error(GONE, extra={"fields": {"since": since, "error": str(error)}})
        elif now - self._reminded >= REMINDER_SECONDS:
            self._reminded = now
            fields = {"seconds": round(now - self._since), "error": str(error)}
            log.error(STILL_AWAY, extra={"fields": fields})

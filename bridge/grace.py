"""How much is left of the time that a stop may take."""

import time
from collections.abc import Callable


class Grace:
    """Begins with the stop; whoever comes later has what others have not used."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `seconds` for the whole stop."""
        self._seconds = seconds
        self._clock = clock
        self._began_at: float | None = None

    def begin(self) -> None:
        """Start to count."""
        self._began_at = self._clock()

    def left(self, part: float) -> float:
        """Return the seconds until a part of the time is over, from 0 to 1; all of it where no stop has begun."""
        spent = 0.0 if self._began_at is None else self._clock() - self._began_at
        return max(0.0, self._seconds * part - spent)

"""How long a training loop has been busy with what: as its client reports it, or as its steps show."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bridge.model import Status
from bridge.protocol import (
    LOST_PHASE,
    PHASES_LIMIT,
    STALLED_PHASE,
    STEP_PHASES,
    stall_limit,
)

OTHER_PHASE = "other"
"""In place of the phases of earlier attempts that are beyond as many."""


class Steps(NamedTuple):
    """The training steps of an attempt so far."""

    last_at: float = 0.0
    """When the last one came; 0: none came."""
    total: int = 0


IMPLIED = {
    (Status.INITIALIZING, False): "startup",
    (Status.INITIALIZING, True): "startup",
    (Status.RUNNING, False): "startup",
    (Status.RUNNING, True): "training",
    (Status.PAUSED, False): "idle",
    (Status.PAUSED, True): "idle",
}


def implied_phase(status: Status, *, has_begun: bool) -> str:
    """Return the phase that a status implies, or "" for one that implies none."""
    return IMPLIED.get((status, has_begun), "")


def began_after(end: float, registered_at: float, started_ms: int) -> float:
    """Return when an attempt began after the end of another one.

    That is when its process began, since it counts its start-up itself, or its registration where the clock of
    the process does not say, or says what cannot be.
    """
    started = started_ms / 1000
    return started if end <= started <= registered_at else registered_at


class PhaseClock:
    """Adds up the seconds that one attempt spends in each phase, in seconds since 1970 by the bridge's clock.

    A client that reports `seconds` of its own is believed: the highest heard of each phase counts, so that
    nothing depends on a message that was lost or on which bridge it came to. For any other the time between two
    changes belongs to the phase before the second one. Either way time in a stepping phase counts up to the last
    step only, and what goes on without one for too long is stalled: a loop that hangs is not training.
    """

    __slots__ = (
        "_is_counted_by_client",
        "_names_phases",
        "_since",
        "before",
        "name",
        "seconds",
    )

    def __init__(self, now: float) -> None:
        """Start with the phase that every attempt starts with."""
        self.name = "startup"
        """Of the phase now; "": the attempt is over."""
        self.seconds: dict[str, float] = {}
        """By phase, up to the last change or report."""
        self.before: dict[str, float] = {}
        """Of all attempts before this one, and what was lost between them."""
        self._since = now
        """When `seconds` was up to date."""
        self._names_phases = False
        """The client says which phase it is in; nothing is derived from its statuses and steps."""
        self._is_counted_by_client = False

    def step(self, now: float, before: Steps) -> None:
        """Note a step that is the first one, or came long after the last one."""
        self._settle(now, before)
        if not self._names_phases:
            self.name = "training"

    def derive(self, name: str, now: float, steps: Steps) -> None:
        """Change to a phase that a status or message implies, unless the client names its phases itself."""
        if not self._names_phases and name != self.name:
            self._settle(now, steps)
            self.name = name

    def report(self, name: str, seconds: Mapping[str, float], now: float, steps: Steps) -> None:
        """Take what a client reports: its phase, or "", and how many seconds it has spent in each."""
        if seconds:
            self._is_counted_by_client = True
            self._since = now
            for each, value in self._admitted(seconds):
                self.seconds[each] = max(value, self.seconds.get(each, 0.0))
        if name:
            self._names_phases = True
            if name != self.name and (name in self.seconds or self._has_place):
                self._settle(now, steps)
                self.name = name

    def count_refused(self, name: str, seconds: Mapping[str, float]) -> int:
        """Count the phases of a report that have no place any more."""
        new = {*seconds, *([name] if name else [])} - self.seconds.keys() - {self.name}
        return max(0, len(new) - (PHASES_LIMIT - len(self._names)))

    def end(self, now: float, steps: Steps) -> None:
        """Stop: the attempt is over, or was last heard of at `now`."""
        self._settle(now, steps)
        self.name = ""

    def resume(self, now: float, steps: Steps) -> None:
        """Go on after an end, which was none."""
        if not self.name:
            self._since = now
            self.name = "training" if steps.total else "startup"

    @property
    def lost_seconds(self) -> float:
        """Between this attempt and the ones before it."""
        return self.before.get(LOST_PHASE, 0.0)

    def follow(self, before: Mapping[str, float], lost_seconds: float) -> None:
        """Go on from the seconds of all attempts before; what passed since the last of them is lost."""
        self.before = {LOST_PHASE: before.get(LOST_PHASE, 0.0) + max(0.0, lost_seconds)}
        for name, seconds in before.items():
            if name != LOST_PHASE:
                is_kept = name in self.before or len(self.before) < PHASES_LIMIT
                kept = name if is_kept else OTHER_PHASE
                self.before[kept] = self.before.get(kept, 0.0) + seconds

    def total_at(self, now: float, steps: Steps) -> dict[str, float]:
        """Return the seconds of each phase over all attempts by `now`."""
        seconds = dict(self.before)
        for name, passed in self.seconds_at(now, steps).items():
            if name != LOST_PHASE:
                seconds[name] = seconds.get(name, 0.0) + passed
        return seconds

    def seconds_at(self, now: float, steps: Steps) -> dict[str, float]:
        """Return the seconds of each phase by `now`, those of the present one included; and what was lost, if any."""
        seconds = dict(self.seconds)
        for name, passed in self._passed(now, steps):
            if passed or name == self.name:
                seconds[name] = seconds.get(name, 0.0) + passed
        if self.lost_seconds:
            seconds[LOST_PHASE] = self.lost_seconds
        return seconds

    def snapshot(self) -> list[Any]:
        """Return what `restored` takes."""
        flags = int(self._names_phases) + 2 * int(self._is_counted_by_client)
        return [self.name, self._since, flags, dict(self.before), dict(self.seconds)]

    @classmethod
    def restored(cls, state: Iterable[Any]) -> "PhaseClock":
        """Return the clock that a snapshot was taken of."""
        name, since, flags, before, seconds = state
        clock = cls(since)
        clock.name, clock.before, clock.seconds = name, before, seconds
        clock._names_phases, clock._is_counted_by_client = bool(flags & 1), bool(flags & 2)
        return clock

    @property
    def _names(self) -> set[str]:
        return {*self.seconds, *([self.name] if self.name else [])}

    @property
    def _has_place(self) -> bool:
        return len(self._names) < PHASES_LIMIT

    def _admitted(self, seconds: Mapping[str, float]) -> Iterable[tuple[str, float]]:
        """Yield what is kept of a report: phases that are known, and new ones while there is place."""
        for name, value in seconds.items():
            if name in self._names or self._has_place:
                yield name, value

    def _settle(self, now: float, steps: Steps) -> None:
        """Add what has passed since `seconds` was up to date; a client that counts itself has it in its next report."""
        if not self._is_counted_by_client:
            for name, passed in self._passed(now, steps, is_over=True):
                if passed:
                    self.seconds[name] = self.seconds.get(name, 0.0) + passed
        self._since = now

    def _passed(
        self, now: float, steps: Steps, *, is_over: bool = False
    ) -> Iterable[tuple[str, float]]:
        """Yield the seconds since `seconds` was up to date, by phase.

        What has passed since the last step may still turn out to be stalled, until the phase is over.
        """
        if not self.name:
            return
        since = self._since
        if self.name not in STEP_PHASES or not steps.total:
            yield self.name, max(0.0, now - since)  # the clock may have been set back
            return
        stepped = max(since, steps.last_at if now < since else min(steps.last_at, now))
        waited = max(0.0, now - stepped)
        is_stalled = waited > self._patience(steps, stepped - since)
        yield self.name, stepped - since + (waited if is_over and not is_stalled else 0.0)
        if is_stalled:
            yield STALLED_PHASE, waited

    def _patience(self, steps: Steps, unsettled: float) -> float:
        """Return how long a loop may go without a step before it counts as stalled."""
        stepping = sum(self.seconds.get(name, 0.0) for name in STEP_PHASES) + unsettled
        return stall_limit(stepping / steps.total)

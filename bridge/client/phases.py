"""What the training loop is busy with, measured in its own thread."""

import time
from collections.abc import Callable, Mapping
from math import inf
from types import TracebackType
from typing import NamedTuple, TypeAlias

from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import LeftOut, Reason
from bridge.protocol import LOST_PHASE, PHASE, PHASES_LIMIT, STALLED_PHASE

STARTUP, TRAINING, IDLE = "startup", "training", "idle"

RESERVED = (LOST_PHASE, STALLED_PHASE)
"""Phases that are derived from the others, and that no loop is ever in."""


class TooManyPhasesError(ValueError):
    """A session has no room for another phase."""


Entry: TypeAlias = tuple[str, float]
"""A phase, and when the loop has entered it."""


class PhaseReading(NamedTuple):
    """The phases of a session at one moment."""

    at: float
    """Monotonic."""
    seconds: Mapping[str, float]
    """How long each phase has lasted so far, the one that goes on included."""
    active: tuple[Entry, ...]
    """The phases that the loop is in, the innermost last."""


class PhaseClock:
    """Measures how long each phase lasts, by the monotonic clock.

    The loop's thread changes it and any thread reads it, without a lock: a reading may miss what ended
    at that very moment, which the next one has, and it never counts anything twice.
    """

    def __init__(self, account: LeftOut, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with `startup`; what cannot be measured is counted in `account`."""
        self._account = account
        self.clock = clock
        self.state = (STARTUP, clock())
        """The present phase, and since when."""
        self.totals = dict.fromkeys((STARTUP, TRAINING, IDLE), 0.0)
        """By phase, the seconds of what has ended."""
        self.active: list[Entry] = []
        """The phases that the loop has entered and not left, the innermost last."""
        self.base = STARTUP
        """What the loop is busy with outside of all of them."""
        self._phases: dict[object, Phase] = {}

    def phase(self, name: object) -> "Phase | NoPhase":
        """Return what a `with` statement enters. Raises ValueError in strict mode for what cannot be a name."""
        try:
            known = self._phases.get(name)
            return self._new(name) if known is None else known
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._account.add("phases", Reason.UNREADABLE, error=error)
            return NO_PHASE

    def begin_training(self) -> None:
        """End the start-up: the loop reports its first step."""
        if self.base == STARTUP:
            self.base = TRAINING
            if not self.active:
                self.switch(TRAINING)

    def enter_idle(self) -> None:
        """Begin a pause, which is one from its first moment on, however short it will be."""
        self.active.append((IDLE, -inf))
        self.switch(IDLE)

    def leave(self, name: str) -> None:
        """End a phase, and return to the one around it; phases may end in any order."""
        active = self.active
        if active and active[-1][0] == name:
            active.pop()
        else:  # a generator that was closed late
            place = max((at for at, entry in enumerate(active) if entry[0] == name), default=None)
            if place is not None:
                del active[place]
        self.switch(active[-1][0] if active else self.base)

    def switch(self, name: str) -> None:
        """Go on in another phase."""
        now = self.clock()
        phase, since = self.state
        self.state = (name, now)  # first: a reading in between is too low, and never too high
        self.totals[phase] += now - since

    def read(self) -> PhaseReading:
        """Return what there is to report; for any thread."""
        seconds = dict(self.totals)
        phase, since = self.state  # maybe one that was new a moment ago
        now = self.clock()
        seconds[phase] = seconds.get(phase, 0.0) + max(0.0, now - since)
        return PhaseReading(now, seconds, ((self.base, -inf), *self.active))

    def _new(self, name: object) -> "Phase":
        checked = checked_phase(name)
        if checked not in self.totals:
            if len(self.totals) >= PHASES_LIMIT - len(RESERVED):
                raise TooManyPhasesError(
                    f"{checked!r} is one phase too many: beside startup, training and idle a session has"
                    f" {PHASES_LIMIT - len(RESERVED) - 3}; use few names for what takes time"
                )
            self.totals = {**self.totals, checked: 0.0}
        self._phases[name] = phase = Phase(self, checked)
        return phase


class Phase:
    """One phase of a session, for a `with` statement; it may be entered again while it lasts."""

    __slots__ = ("_clock", "_name")

    def __init__(self, clock: PhaseClock, name: str) -> None:
        """Measure nothing until it is entered."""
        self._clock = clock
        self._name = name

    def __enter__(self) -> None:
        """Begin it. Written out, as is `__exit__`: loops do this around every step."""
        clock = self._clock
        phase, since = clock.state
        now = clock.clock()
        clock.state = entry = (self._name, now)
        clock.active.append(entry)
        clock.totals[phase] += now - since

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End it, and let exceptions pass."""
        self._clock.leave(self._name)


class NoPhase:
    """Stands in for a phase that is not measured."""

    def __enter__(self) -> None:
        """Begin nothing."""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End nothing."""


NO_PHASE = NoPhase()


def checked_phase(name: object) -> str:
    """Return the name of a phase. Raises ValueError for what is none."""
    if not isinstance(name, str):
        raise ValueError(f"a {type(name).__name__} is not the name of a phase; give a word")
    if not PHASE.fullmatch(name):
        raise ValueError(
            f"{name[:64]!r} is not the name of a phase: up to 32 letters, digits, dots, hyphens and"
            " underscores that begin with a letter"
        )
    if name in RESERVED:
        raise ValueError(
            f"{name!r} is counted by itself, where a run stands still; use another name"
        )
    return name

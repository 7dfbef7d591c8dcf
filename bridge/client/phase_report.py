"""What is sent of a session's phases: cumulative seconds, of which a loop that hangs earns none."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bridge.client.phases import PhaseReading
from bridge.protocol import STALLED_PHASE, STEP_PHASES, stall_limit

LASTING_SECONDS = 1.0
"""A phase counts as what the loop is busy with once it has lasted for so long: shorter ones alternate."""


class PhaseState(NamedTuple):
    """The phases of a session, as they are sent."""

    phase: str
    """What the loop is busy with."""
    seconds: Mapping[str, float]
    """By phase, since the session was constructed; never less than before."""


NO_PHASES = PhaseState("", {})


class PhaseReport:
    """Keeps account of readings in the collecting thread, and says when a change is worth a message."""

    def __init__(self, read: Callable[[], PhaseReading]) -> None:
        """Begin with what `read` returns now."""
        self._read = read
        self._reading = read()
        self._seen: dict[str, float] = {}
        """By phase, what the readings have come to."""
        self._credited: dict[str, float] = {}
        """By phase, what is sent of that."""
        self._since_step = 0.0
        """Seconds of credited phases since the last step."""
        self._has_stepped = False
        self._sent = ""
        """The phase in the last message that had one."""

    def look(self, *, has_stepped: bool, batch_seconds: float) -> None:
        """Take a reading; `batch_seconds` is what a batch has usually taken, 0 where that is not known.

        What a look finds late, such as the end of a freeze of the whole process, is judged as what came
        before the step that ended it.
        """
        self._reading = reading = self._read()
        limit = stall_limit(batch_seconds)
        for phase, seconds in reading.seconds.items():
            grown = seconds - self._seen.get(phase, 0.0)
            if grown > 0:
                self._seen[phase] = seconds
                self._credit(phase, grown, limit)
        if has_stepped:
            self._has_stepped = True
            self._since_step = 0.0

    def state(self) -> PhaseState:
        """Return what a message takes that is sent now."""
        self._sent = self._phase
        return PhaseState(self._sent, dict(self._credited))

    @property
    def is_due(self) -> bool:
        """Return whether the phase is another than the last message said, so that a message should say it."""
        return self._phase != self._sent

    @property
    def _phase(self) -> str:
        """Return what the loop is busy with: the innermost phase that lasts."""
        latest = self._reading.at - LASTING_SECONDS
        return next(name for name, at in reversed(self._reading.active) if at <= latest)

    def _credit(self, phase: str, seconds: float, limit: float) -> None:
        if phase not in STEP_PHASES or not self._has_stepped:
            self._add(phase, seconds)
            return
        credited = min(seconds, max(0.0, limit - self._since_step))
        self._since_step += seconds
        self._add(phase, credited)
        self._add(STALLED_PHASE, seconds - credited)

    def _add(self, phase: str, seconds: float) -> None:
        if seconds > 0:
            self._credited[phase] = self._credited.get(phase, 0.0) + seconds

"""The ranks of a run side by side: which one is slow, which one is behind, and which ones are missing."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from statistics import median

from bridge.web.runs.reading import RankReading

MAX_RANKS = 1_024
"""Ranks of a run that are looked at."""

STRAGGLER_RATIO = 0.1
"""From this share of a step on, a rank is called slow; the alert begins at twice as much."""

STANDSTILL_SECONDS = 60.0
"""How long a run has to be without a step at least until it is said to stand still..."""

STANDSTILL_STEPS = 20
"""...or so many times what a step has usually taken, if that is longer."""


STYLES = ("training", "data", "compute", "validation", "checkpoint", "startup", "idle", "stalled")
"""Phases that have a colour; others share one."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the bar that shows where the time of a rank goes; lengths are in percent."""

    phase: str
    share: float
    start: float
    width: float

    @property
    def style(self) -> str:
        """Its CSS class."""
        return self.phase if self.phase in STYLES else "own"


@dataclass(frozen=True, slots=True)
class Rank:
    """One rank, and how it compares with the others."""

    reading: RankReading
    straggler_ratio: float | None
    """By which share of a step it holds up the others: 0 for the median rank; None: not known."""
    is_slow: bool
    """Whether it is the one that holds up the others most, and does so noticeably."""
    is_behind: bool
    """Whether the run stands still and this rank has taken fewer steps than others, or is busy with something else."""

    @property
    def bars(self) -> tuple[Bar, ...]:
        """Where its time goes, the largest part first."""
        shares = self.reading.phase_shares
        starts = accumulate(shares.values(), initial=0.0)
        return tuple(
            Bar(phase, share, round(start * 100, 2), round(share * 100, 2))
            for (phase, share), start in zip(shares.items(), starts, strict=False)
        )


@dataclass(frozen=True)
class RunView:
    """A run as it was at one moment."""

    run_id: str
    world_size: int
    """How many ranks there are; 0: not reported."""
    readings: tuple[RankReading, ...]
    """By rank."""
    now: float
    shared: tuple[int, ...] = ()
    """Ranks that several connected sessions say they are; of these, the readings are those that began last."""

    @cached_property
    def ranks(self) -> tuple[Rank, ...]:
        """All ranks that have registered, by number."""
        slowest = max(self._ratios, key=lambda rank: self._ratios[rank], default=None)
        if slowest is not None and self._ratios[slowest] < STRAGGLER_RATIO:
            slowest = None
        return tuple(
            Rank(
                reading,
                self._ratios.get(reading.rank),
                reading.rank == slowest,
                reading.rank in self._behind,
            )
            for reading in self.readings
        )

    @property
    def slowest(self) -> Rank | None:
        """The rank that holds up the others, if one does."""
        return next((rank for rank in self.ranks if rank.is_slow), None)

    @property
    def behind(self) -> tuple[Rank, ...]:
        """The ranks that the others seem to wait for while the run stands still."""
        return tuple(rank for rank in self.ranks if rank.is_behind)

    @property
    def connected(self) -> int:
        """How many ranks have a stream."""
        return sum(reading.is_connected for reading in self.readings)

    @property
    def missing(self) -> tuple[int, ...]:
        """The ranks that have never registered here, as far as it is known how many there are."""
        present = {reading.rank for reading in self.readings}
        return tuple(rank for rank in range(min(self.world_size, MAX_RANKS)) if rank not in present)

    @cached_property
    def median_step_seconds(self) -> float | None:
        """What a step takes at the median rank."""
        return _median(reading.step_seconds for reading in self._running)

    @cached_property
    def standstill_seconds(self) -> float | None:
        """How long no rank has taken a step; None while steps come, and where none has ever been taken."""
        stepped_at = max((reading.stepped_at for reading in self._running), default=0.0)
        if not stepped_at or not any(reading.is_live for reading in self._running):
            return None
        patience = max(STANDSTILL_SECONDS, STANDSTILL_STEPS * (self.median_step_seconds or 0.0))
        passed = self.now - stepped_at
        return passed if passed > patience else None

    @cached_property
    def usual_phase(self) -> str:
        """The phase that most ranks are in; "": not reported."""
        counts = Counter(reading.phase for reading in self._running if reading.phase)
        return counts.most_common(1)[0][0] if counts else ""

    @cached_property
    def usual_position(self) -> int | None:
        """The step that most ranks are at."""
        counts = Counter(self.position(reading) for reading in self._running)
        return max(counts, key=lambda step: (counts[step], step)) if counts else None

    def position(self, reading: RankReading) -> int:
        """Return where a rank is, in a count that all ranks have: of the run, else of the attempt."""
        return reading.steps if reading.step is None or not self._have_steps else reading.step

    @cached_property
    def _have_steps(self) -> bool:
        return all(reading.step is not None for reading in self._running)

    @cached_property
    def _running(self) -> tuple[RankReading, ...]:
        """The ranks that still run; once there are none, how all of them were at last."""
        return tuple(reading for reading in self.readings if reading.is_live) or self.readings

    @cached_property
    def _behind(self) -> frozenset[int]:
        """While the run stands still: ranks with fewer steps than most; if there are none, in another phase than most."""
        if self.standstill_seconds is None:
            return frozenset()
        usual = self.usual_position or 0
        late = {one.rank for one in self._running if self.position(one) < usual}
        phase = self.usual_phase
        differing = {one.rank for one in self._running if one.phase and one.phase != phase}
        return frozenset(late or differing)

    @cached_property
    def _ratios(self) -> dict[int, float]:
        """By which share of a step each rank holds up the others: by what it does alone, and by its whole steps."""
        alone = _excess(self._running, lambda one: one.local_seconds, self.median_step_seconds)
        whole = _excess(self._running, lambda one: one.step_seconds, self.median_step_seconds)
        return {
            rank: max(ratios[rank] for ratios in (alone, whole) if rank in ratios)
            for rank in alone.keys() | whole.keys()
        }


def _excess(
    readings: Sequence[RankReading],
    seconds_of: Callable[[RankReading], float | None],
    step_seconds: float | None,
) -> dict[int, float]:
    """Return by how much of a step each rank takes longer than the median rank; {} where there is no comparison."""
    seconds = {
        one.rank: value
        for one in readings
        if (value := seconds_of(one)) is not None and math.isfinite(value)
    }
    if len(seconds) < 2 or not step_seconds:
        return {}
    usual = median(seconds.values())
    return {rank: max(0.0, value - usual) / step_seconds for rank, value in seconds.items()}


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return median(known) if known else None

"""What a training loop has reported as events: the newest ones, and how many there were."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from bridge.model import Level, Occurrence

EVENTS_LIMIT = 200
"""Events kept of one session."""

CHARACTERS_LIMIT = 64 * 1024
"""Of all events of one session together; the oldest give way."""

MESSAGE_LIMIT = 1_000
"""Characters of a message; it is cut."""

DETAILS_LIMIT = 16
"""Details of one event."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, and when it arrived."""

    at: float
    occurrence: Occurrence

    @property
    def characters(self) -> int:
        """How much room it takes."""
        one = self.occurrence
        details = sum(len(name) + len(value) for name, value in one.details.items())
        return len(one.name) + len(one.message) + details


class Occurrences:
    """The newest events of one session."""

    __slots__ = ("_characters", "_kept", "total")

    def __init__(self) -> None:
        """Start without events."""
        self._kept: deque[Happened] = deque()
        self._characters = 0
        self.total = 0
        """How many there were in all."""

    def __len__(self) -> int:
        """Count the events that are kept."""
        return len(self._kept)

    def __iter__(self) -> Iterator[Happened]:
        """Yield those that are kept, the oldest first."""
        return iter(self._kept)

    def add(self, occurrence: Occurrence, at: float) -> None:
        """Add an event that arrived at `at`; the oldest make room for it."""
        details = dict(islice(occurrence.details.items(), DETAILS_LIMIT))
        message = occurrence.message[:MESSAGE_LIMIT]
        self._keep(Happened(at, replace(occurrence, message=message, details=details)))
        self.total += 1

    def snapshot(self) -> list[Any]:
        """Return what `restored` takes, in plain values; [] if there were none."""
        if not self.total:
            return []
        return [self.total, [_row(happened) for happened in self._kept]]

    @classmethod
    def restored(cls, state: Sequence[Any]) -> "Occurrences":
        """Return the events of a snapshot; raises TypeError or ValueError for one that is damaged."""
        occurrences = cls()
        if not state:
            return occurrences
        total, rows = state
        for at, name, message, level, details, epoch, batch, step in rows:
            occurrence = Occurrence(name, message, Level(level), details, epoch, batch, step)
            occurrences._keep(Happened(at, occurrence))
        occurrences.total = total
        return occurrences

    def _keep(self, happened: Happened) -> None:
        self._kept.append(happened)
        self._characters += happened.characters
        while len(self._kept) > EVENTS_LIMIT or self._characters > CHARACTERS_LIMIT:
            self._characters -= self._kept.popleft().characters


def _row(happened: Happened) -> list[Any]:
    one = happened.occurrence
    place = (one.epoch, one.batch, one.step)
    return [happened.at, one.name, one.message, one.level.value, dict(one.details), *place]

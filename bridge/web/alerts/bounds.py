"""What alerts may do to training loops."""

from dataclasses import dataclass

from bridge.protocol import CommandType


@dataclass(frozen=True, slots=True)
class AlertBounds:
    """Which commands alerts may send, and how many."""

    types: frozenset[CommandType] = frozenset()
    per_hour: int = 6
    """To one session."""
    learning_rates: tuple[float, float] | None = None
    """The lowest and the highest that they may set; None: any that a command may."""

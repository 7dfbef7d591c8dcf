"""The alerts about a session that have been received: the newest ones, and how many there were."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from bridge.lifecycle import AlertReceived

ALERTS_LIMIT = 50
"""Alerts kept of one session."""

CHARACTERS_LIMIT = 16 * 1024
"""Of all alerts of one session together; the oldest give way."""

APART_SECONDS = 300.0
"""How far apart two servers may see an alert begin, and how soon after its end one that fires again is the same."""

Key = tuple[str, float]
"""What makes two notifications one alert: its fingerprint, and since when it fires."""


@dataclass(frozen=True, slots=True)
class KeptAlert:
    """An alert as it was last received."""

    received_at: float
    """When it was first received, in seconds since 1970."""
    alert: AlertReceived

    @property
    def fires(self) -> bool:
        """Whether it fires, as far as is known here."""
        return not self.alert.ends_at

    @property
    def characters(self) -> int:
        """How much room it takes."""
        return sum(len(value) for value in astuple(self.alert) if isinstance(value, str))


class ReceivedAlerts:
    """The newest alerts about one session."""

    __slots__ = ("_characters", "_kept", "total")

    def __init__(self) -> None:
        """Start without alerts."""
        self._kept: dict[Key, KeptAlert] = {}
        self._characters = 0
        self.total = 0
        """How many there were in all."""

    def __len__(self) -> int:
        """Count the alerts that are kept."""
        return len(self._kept)

    def __iter__(self) -> Iterator[KeptAlert]:
        """Yield those that are kept, in the order in which they were first received."""
        return iter(self._kept.values())

    def find(self, fingerprint: str, starts_at: float) -> AlertReceived | None:
        """Return an alert as it was last received, or None.

        Two Prometheus servers that watch the same see it begin at two moments, of which Alertmanager takes the
        earlier once it knows it; and a bridge that restarts has no series for a moment, so that an alert resolves
        and fires again. Both are the same alert.
        """
        kept = self._kept.get((fingerprint, starts_at))
        if kept is not None:
            return kept.alert
        alerts = (one.alert for one in self if one.alert.fingerprint == fingerprint)
        return next((one for one in alerts if _continues(one, starts_at)), None)

    def add(self, alert: AlertReceived, at: float) -> None:
        """Add an alert that was received at `at`, or what has become of one; the oldest make room for it."""
        known = self._kept.get(_key(alert))
        if known is None:
            self.total += 1
            self._keep(KeptAlert(at, alert))
            return
        self._characters -= known.characters
        self._keep(replace(known, alert=_updated(known.alert, alert)))

    def snapshot(self) -> list[Any]:
        """Return what `restored` takes, in plain values; [] if there were none."""
        if not self.total:
            return []
        return [self.total, [[kept.received_at, *astuple(kept.alert)] for kept in self]]

    @classmethod
    def restored(cls, state: Sequence[Any]) -> "ReceivedAlerts":
        """Return the alerts of a snapshot; raises TypeError or ValueError for one that is damaged."""
        alerts = cls()
        if not state:
            return alerts
        total, rows = state
        for received_at, *values in rows:
            alerts._keep(KeptAlert(received_at, AlertReceived(*values)))
        alerts.total = total
        return alerts

    def _keep(self, kept: KeptAlert) -> None:
        self._kept[_key(kept.alert)] = kept
        self._characters += kept.characters
        while len(self._kept) > ALERTS_LIMIT or self._characters > CHARACTERS_LIMIT:
            oldest = next(iter(self._kept))
            self._characters -= self._kept.pop(oldest).characters


def _key(alert: AlertReceived) -> Key:
    return alert.fingerprint, alert.starts_at


def _continues(known: AlertReceived, starts_at: float) -> bool:
    until = (known.ends_at or known.starts_at) + APART_SECONDS
    return known.starts_at - APART_SECONDS <= starts_at <= until


def _updated(known: AlertReceived, alert: AlertReceived) -> AlertReceived:
    """Return an alert as it is now: its command stays when it no longer fires, and so does why it had none."""
    command_id = alert.command_id or known.command_id
    refusal = "" if command_id else alert.refusal or known.refusal
    return replace(alert, command_id=command_id, refusal=refusal)

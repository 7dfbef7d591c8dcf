"""Writes every event with the commit that acknowledges it, and a checkpoint of each session now and then."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.lifecycle import (
    Connected,
    Disconnected,
    Event,
    Expired,
    Moved,
    Registered,
    SequenceAdvanced,
    Superseded,
)
from bridge.model import Heartbeat, StatusChange
from bridge.session import Session
from bridge.session_snapshot import snapshot_of
from bridge.sinks import Snapshotter
from bridge.sinks.journal.archive import SESSION, SUPERSEDED
from bridge.sinks.journal.records import JournalRecord
from bridge.sinks.journal.replay import Replayed
from bridge.sinks.journal.write import JournalWrite, SessionState
from bridge.storage.deletions import ALL_ATTEMPTS
from bridge.storage.journal import JournalRows
from bridge.telemetry import Telemetry

CHECKPOINT_SECONDS = 30.0
"""Age of the oldest record outside a session's checkpoint at which the next checkpoint is written.

Often enough for a quick start, seldom enough for the disk: a session may take 70 KB.
"""

RECORDS_LIMIT = 200_000
"""With more records than this in the journal checkpoints are written earlier: the next start must be quick."""

SHARED_CHECKPOINT_SECONDS = 10.0
"""Where bridges share the database: they show a session by its checkpoint, and take it over from there."""

SHOWN_SECONDS = 2.0
"""How soon the lists of other bridges, which are made of checkpoints, say that a session is connected, runs or rests."""

SHOWN_EVENTS = (Connected, Disconnected, StatusChange)

LAST_SEEN_SECONDS = 10.0
"""How often it is written when sessions that send nothing but heartbeats were last seen."""

CHECKPOINTING_SECONDS = 0.002
"""Time on the event loop that one commit may spend on checkpoints; the rest follow with the next commits."""


@dataclass(frozen=True, slots=True)
class Uncheckpointed:
    """A session with records that its checkpoint does not include."""

    session: Session
    number: int
    """Of the group with the first of these records."""
    since: float


class Journal:
    """A durable sink of all events; it consumes each before the other sinks do.

    A session on disk is its checkpoint with the records since then applied to it: see `replay`. So a group of
    records may be trimmed as soon as the checkpoint of every session in it is newer than the group.
    """

    def __init__(
        self,
        rows: JournalRows,
        snapshotters: Sequence[Snapshotter],
        telemetry: Telemetry,
        *,
        keeps_records: bool = True,
        is_shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Continue the rows given; checkpoints hold the snapshots of `snapshotters`.

        Not `keeps_records`: only checkpoints are written, for the pages of sessions that are over. `is_shared`: other
        bridges show these sessions, so the checkpoint of one that begins or stops soon follows.
        """
        self._is_shared = is_shared
        self._checkpoint_seconds = SHARED_CHECKPOINT_SECONDS if is_shared else CHECKPOINT_SECONDS
        self._keeps_records = keeps_records
        self._rows = rows
        self._snapshotters = tuple(snapshotters)
        self._telemetry = telemetry
        self._clock = clock
        self._number = rows.last_number()
        self._records: list[JournalRecord] = []
        """Since the last commit."""
        self._touched: dict[str, Session] = {}
        """Sessions with events since the last commit."""
        self._due_checkpoints: dict[str, Session] = {}
        """Sessions whose checkpoint must be in the next commit, whatever their age."""
        self._shown_soon: dict[str, tuple[float, Session]] = {}
        """Sessions whose checkpoint does not say yet what other bridges are to show, and when it has to, the first first."""
        self._evicting: dict[str, SessionState] = {}
        """The last state of sessions that no longer are in memory, until it is on disk."""
        self._superseded: dict[tuple[str, int], SessionState] = {}
        """By id and attempt, the state in which attempts are kept for good, until it is on disk."""
        self._last_seen: dict[str, Session] = {}
        """Sessions with heartbeats since `_last_seen_written_at`."""
        self._last_seen_written_at = 0.0
        self.trims = True
        """False: a checkpoint could not be written, so its session needs all of its records, until a restart."""
        self._here: set[str] = set()
        """Sessions with a checkpoint since they came: those that are on their way into memory still need older groups."""
        self._uncheckpointed: dict[str, Uncheckpointed] = {}
        """By session, the lowest group number first: new ones go to the end with the highest number yet."""
        self._retained: deque[tuple[int, int]] = deque()
        """Number and length of the groups that have not been trimmed yet."""
        self._retained_records = 0
        self._trimmed_below = 0

    def consume(self, session: Session, event: Event, received: float) -> None:
        """Take an event, to be written with the next commit."""
        kind = type(event)
        if kind is Heartbeat:
            self._last_seen[session.id] = session
            return
        if kind is Expired:
            self._evict(session)
            return
        if kind is Superseded:
            self._keep_superseded(session)
            return
        if kind is Moved:
            self._drop(session.id)
            return
        self._touched[session.id] = session
        if self._is_shared and kind in SHOWN_EVENTS:
            self._shown_soon.setdefault(session.id, (self._clock() + SHOWN_SECONDS, session))
        if kind is Registered:
            # A registration has more to it than an event holds, and later records need a session to apply to.
            self._due_checkpoints[session.id] = session
        elif self._keeps_records:
            if kind is SequenceAdvanced:
                self._drop_outdated_advance(session)
            self._records.append(JournalRecord(session.id, session.accepted, received, event))

    def is_being_archived(self, session_id: str) -> bool:
        """Return whether a session has left memory, and its last state is not on disk yet."""
        return session_id in self._evicting

    def discard(self, session_id: str, attempt: int = ALL_ATTEMPTS) -> None:
        """Write nothing more of what has left memory: a session, or one attempt, is deleted with the next commit."""
        evicting = self._evicting.get(session_id)
        if evicting is not None and attempt in (ALL_ATTEMPTS, evicting[0].attempt):
            del self._evicting[session_id]
        for known, number in list(self._superseded):
            if known == session_id and attempt in (ALL_ATTEMPTS, number):
                del self._superseded[known, number]

    def resume(self, replayed: Replayed) -> None:
        """Take over the sessions that were replayed, and the groups they need."""
        if not replayed.groups:
            return
        first, now = replayed.groups[0][0], self._clock()
        self._uncheckpointed = {s.id: Uncheckpointed(s, first, now) for s in replayed.sessions}
        self._retained.extend(replayed.groups)
        self._retained_records = sum(records for _, records in replayed.groups)

    def take_over(self, session: Session) -> None:
        """Have the next commit write a checkpoint of a session that another bridge had, before anything of it."""
        self._touched[session.id] = self._due_checkpoints[session.id] = session

    def checkpoint_all(self) -> None:
        """Write a checkpoint of every session with the next commit, which is the last one."""
        self._due_checkpoints |= {name: u.session for name, u in self._uncheckpointed.items()}
        self._due_checkpoints |= self._touched
        self._due_checkpoints |= self._last_seen

    def collect(self) -> JournalWrite | None:
        """Return the records since the last call, and the checkpoints that are due."""
        now, number = self._clock(), self._number + 1
        for name, session in self._touched.items():
            if name not in self._uncheckpointed:
                self._uncheckpointed[name] = Uncheckpointed(session, number, now)
        states = self._checkpoints(number, now)
        last_seen = self._last_seen_times(now)
        # Again in each commit until one succeeds, as with those in `_evicting`.
        superseded = list(self._superseded.values())
        if not (self._records or states or superseded or last_seen):
            return None
        records, self._records = self._records, []
        touched, self._touched = self._touched, {}
        self._number = number
        if records:
            self._retained.append((number, len(records)))
            self._retained_records += len(records)
        return JournalWrite(
            self,
            self._rows,
            self._telemetry,
            number,
            records,
            states,
            superseded,
            last_seen,
            trim_below=self._trim(),
            sequences=[(session, session.accepted) for session in touched.values()],
            here=frozenset(self._here),
        )

    def never_trim(self) -> None:
        """Keep all groups from now on."""
        self.trims = False

    def has_left_with(self, session: Session, state: dict[str, Any]) -> bool:
        """Return whether this is the state that a session left memory with."""
        return self._evicting.get(session.id, (None, None))[1] is state

    def on_written(self, write: JournalWrite) -> None:
        """Let go of the states that are on disk now."""
        for session, state in write.states:
            if self.has_left_with(session, state):
                del self._evicting[session.id]
        for session, state in write.superseded:
            key = (session.id, session.attempt)
            if self._superseded.get(key, (None, None))[1] is state:
                del self._superseded[key]

    def _drop_outdated_advance(self, session: Session) -> None:
        """Let the next record replace the last one where both only say how far the session is."""
        last = self._records[-1] if self._records else None
        if last is not None and last.event == SequenceAdvanced() and last.session_id == session.id:
            self._records.pop()

    def _evict(self, session: Session) -> None:
        """Keep the last state of a session: the other sinks drop it next, yet it may be resumed later."""
        state = self._state(session)
        if state is None:
            return
        self._evicting[session.id] = (session, state)
        self._leave_out(session.id)

    def _drop(self, session_id: str) -> None:
        """Write nothing more of a session that another bridge has."""
        self.discard(session_id)
        self._leave_out(session_id)
        self._records = [record for record in self._records if record.session_id != session_id]

    def _leave_out(self, session_id: str) -> None:
        due, soon, seen = self._due_checkpoints, self._shown_soon, self._last_seen
        for known in (due, soon, self._uncheckpointed, self._touched, seen):
            known.pop(session_id, None)
        self._here.discard(session_id)

    def _keep_superseded(self, session: Session) -> None:
        """Keep an attempt as it stands, without what the sinks knew: nothing continues it."""
        try:
            state = {SESSION: snapshot_of(session), SUPERSEDED: True}
        except Exception as error:  # noqa: BLE001 -- it must not keep the next attempt from the disk
            self._telemetry.unexpected_error("checkpoint", error)
            self._telemetry.dropped("attempt", "unwritable")
            return
        self._superseded[session.id, session.attempt] = (session, state)

    def _checkpoints(self, number: int, now: float) -> list[SessionState]:
        """Return the state of each session to write whole in this commit.

        What has left memory, or is due, cannot wait. The others go one by one, the oldest first, and only for
        as long as the event loop can spare: a thousand sessions that began together also grow old together.
        """
        # Again in each commit until one succeeds: a commit that fails is retried as it was, but another may
        # be collected before it.
        states = list(self._evicting.values())
        due, self._due_checkpoints = self._due_checkpoints, {}
        for session in due.values():
            self._add_state(states, session)
        until = time.perf_counter() + CHECKPOINTING_SECONDS
        while self._shown_soon:
            name, (at, session) = next(iter(self._shown_soon.items()))
            if now < at:
                break
            del self._shown_soon[name]
            if self._add_state(states, session) and time.perf_counter() > until:
                break
        for uncheckpointed in list(self._uncheckpointed.values()):
            if not self._is_of_age(uncheckpointed, number, now):
                break  # those behind it are younger
            if self._add_state(states, uncheckpointed.session) and time.perf_counter() > until:
                break
        return states

    def _is_of_age(self, uncheckpointed: Uncheckpointed, number: int, now: float) -> bool:
        # Over the limit a session whose records begin in this very commit waits: it holds back no group.
        if self._retained_records > RECORDS_LIMIT and uncheckpointed.number < number:
            return True
        return now - uncheckpointed.since >= self._checkpoint_seconds

    def _add_state(self, states: list[SessionState], session: Session) -> bool:
        """Add the state of a session, which then includes all of its records; False: it cannot be had now."""
        state = self._state(session)
        if state is None:
            return False
        states.append((session, state))
        self._uncheckpointed.pop(session.id, None)
        self._shown_soon.pop(session.id, None)
        self._here.add(session.id)
        return True

    def _last_seen_times(self, now: float) -> list[tuple[float, str, int]]:
        """Return when silent sessions were last seen, now and then: their leases outlive the bridge."""
        if not self._last_seen or now - self._last_seen_written_at < LAST_SEEN_SECONDS:
            return []
        seen, self._last_seen, self._last_seen_written_at = self._last_seen, {}, now
        return [(one.updated_at, name, one.attempt) for name, one in seen.items()]

    def _state(self, session: Session) -> dict[str, Any] | None:
        """Return all that is known of a session, or None where a snapshot fails: its records stay."""
        try:
            snapshots = {each.name: each.snapshot(session) for each in self._snapshotters}
            known = {name: state for name, state in snapshots.items() if state is not None}
            return {SESSION: snapshot_of(session), **session.restored_state, **known}
        except Exception as error:  # noqa: BLE001 -- one session must not keep the others from the disk
            self._telemetry.unexpected_error("checkpoint", error)
            return None

    def _trim(self) -> int:
        """Return the number below which no group is needed any more, 0 where that has not changed.

        The first of the uncheckpointed sessions has the lowest number, so it alone decides.
        """
        first = next(iter(self._uncheckpointed.values()), None)
        below = self._number + 1 if first is None else first.number
        if below <= self._trimmed_below:
            return 0
        self._trimmed_below = below
        while self._retained and self._retained[0][0] < below:
            self._retained_records -= self._retained.popleft()[1]
        return below

"""The registry of sessions: their registration, leases and expiry.

Whatever is measured (leases, silence, linger) is measured on the monotonic clock, which nobody can set;
times since 1970 are only shown.
"""

import math
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.access import ANYONE, Identity
from bridge.errors import ForeignSessionError, InvalidDataError, LimitError, UnknownSessionError
from bridge.lifecycle import Absent, Disconnected, Ended, Event, Expired
from bridge.model import MISSED_HEARTBEATS, Client, Config, Stage
from bridge.protocol import SENT_BY_ANOTHER, SESSION_ID
from bridge.registration_rate import RegistrationRate
from bridge.session import EARLIEST, Holder, Session
from bridge.succession import follow, supersedes

CROWDED = 0.5
"""Above this part of all places, sessions that were never used give up theirs."""

LONGEST_ID = 63
"""Characters of a session's name: behind the longest prefix, one that is made here is as random but for four bits."""

SOONEST_SECONDS = 1.0
"""A client that is refused a name is never asked to come back sooner."""

NAME_SHOWN = 64
"""Characters of a client's name that another client is shown."""

SUPERSEDED = (
    "a newer attempt of this session has taken its place; nothing more of this one is taken"
    " under the session's name"
)


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of a request to register."""

    session: Session
    is_new: bool
    """A new attempt, rather than the one that is known."""
    token: str = ""
    """What streams must show, for a client that names itself."""
    former: Session | None = None
    """The attempt before, where this is a new one of a known session."""


class Sessions:
    """The sessions held in memory: live ones, and those that linger after their end."""

    def __init__(  # noqa: PLR0913 -- one keyword for each limit
        self,
        *,
        limit: int = 2_000,
        new_per_minute: int = 600,
        new_per_token: int = 300,
        heartbeat_seconds: float = 20.0,
        linger_seconds: float = 300.0,
        lost_seconds: float = 3_600.0,
        unused_seconds: float = 900.0,
        release_seconds: float = 5.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        """Start empty; `limit` caps sessions in memory, and with them series.

        `clock` returns seconds since 1970, to be shown; `monotonic` is what everything is measured by.
        Without it the clock is taken for one that is never set.
        """
        self.limit = limit
        self.heartbeat_seconds = heartbeat_seconds
        self._linger_seconds = linger_seconds
        self._lost_seconds = lost_seconds
        self._unused_seconds = unused_seconds
        self._release_seconds = release_seconds
        self._sessions: dict[str, Session] = {}
        self._arrived: set[str] = set()
        self._clock = clock
        self._monotonic = monotonic or clock
        self._rate = RegistrationRate(new_per_minute, new_per_token, self._monotonic)

    def __iter__(self) -> Iterator[Session]:
        """Go through all sessions, oldest registration first."""
        return iter(tuple(self._sessions.values()))

    def __len__(self) -> int:
        """Count the sessions held in memory."""
        return len(self._sessions)

    def find(self, session_id: str) -> Session | None:
        """Return a session, or None."""
        return self._sessions.get(session_id)

    def get(self, session_id: str) -> Session:
        """Return a session, or raise UnknownSessionError."""
        session = self._sessions.get(session_id)
        if session is None:
            raise UnknownSessionError("this session is not registered here; register it first")
        return session

    def held_by(self, session_id: str, holder: Holder) -> Session:
        """Return a session that `holder` sends; raises UnknownSessionError, ForeignSessionError."""
        session = self.get(session_id)
        if session.attempt != holder.attempt or session.client.instance_id != holder.instance_id:
            raise ForeignSessionError("another training process has taken the session over")
        return session

    def register(
        self,
        session_id: str,
        client: Client,
        config: Config,
        archived: Session | None = None,
        *,
        attempts_before: int = 0,
        owner: Identity = ANYONE,
    ) -> Registration:
        """Open, resume or start anew.

        `archived` is the session as it was when it expired, if it did, so that it can be resumed, and so
        that no attempt of a session is counted twice. `attempts_before`: of a session that is not known, the
        last attempt that images are left of, as where a database was lost; they are not taken for this one's.

        The same client instance resumes its session, also an ended one. Another instance is refused while
        the first one holds it (see `held_seconds`), and begins a new attempt after that or after the end. A
        client that does not name itself resumes its session until that has ended; registered after its
        end, it begins a new attempt. What belongs to an earlier attempt is refused, however that ended.

        The name of a session that comes without one begins as those of its `owner` have to.

        Raises InvalidDataError for an id that breaks the rule, ForeignSessionError, LimitError.
        """
        session_id = session_id or new_name(owner)
        if not SESSION_ID.fullmatch(session_id):
            raise InvalidDataError("session_id must match [A-Za-z0-9][A-Za-z0-9._-]{0,62}")
        known = self._sessions.get(session_id) or archived
        if known is None:
            self._check_limits(session_id, owner)
            added = self._added(session_id, client, config, attempt=attempts_before + 1)
            return Registration(added, is_new=True)
        is_same = known.client.instance_id == client.instance_id
        if is_same and (client.instance_id or known.stage is not Stage.ENDED):
            self._check_limits(session_id, owner)
            return Registration(self._resumed(known, client, config), is_new=False)
        if known is archived:
            self._estimate_silence(known)
        self._check_free(known, client)
        self._check_limits(session_id, owner)
        session = self._added(session_id, client, config, attempt=known.attempt + 1)
        follow(session, known)
        return Registration(session, is_new=True, former=known)

    def check_elsewhere(self, known: Session, client: Client) -> None:
        """Raise ForeignSessionError as `register` would, for a session as another bridge has it."""
        if known.client.instance_id != client.instance_id and known.stage is not Stage.ENDED:
            self._estimate_silence(known)
            known.closed_at = None if known.connected else known.heard_at
            self._check_free(known, client)

    def _check_free(self, known: Session, client: Client) -> None:
        """Raise ForeignSessionError where a session is another client's, and stays so for now."""
        if supersedes(known, client, self._clock()):
            raise ForeignSessionError(SUPERSEDED)
        held = self.held_seconds(known)
        if held:
            # Its stream may close any time, and then the name is free before its lease is over.
            soon = min(held, max(self._release_seconds, SOONEST_SECONDS))
            raise ForeignSessionError(_held_by(known, held), retry_after_seconds=soon)

    def is_leased(self, session: Session) -> bool:
        """Return whether a session has been heard of within three heartbeats."""
        heard_until = session.heard_at + self.lease_seconds
        return self._monotonic() < max(heard_until, session.leased_until)

    def held_seconds(self, session: Session) -> float:
        """Return for how long nobody else may register a session, if its client is not heard of again; 0: now.

        A client that is silent has three heartbeats. One whose last stream has closed is gone, or will be back
        within seconds, unless it was sent elsewhere: there it may be well.
        """
        if session.stage is not Stage.LIVE:
            return 0.0
        until = max(session.heard_at + self.lease_seconds, session.leased_until)
        if session.closed_at is not None and not session.is_sent_elsewhere:
            until = min(until, session.closed_at + self._release_seconds)
        return max(0.0, until - self._monotonic())

    def note_closed(self, session: Session) -> None:
        """Note that the last stream of a session has closed."""
        session.closed_at = self._monotonic()

    def touch(self, session: Session, now: float) -> None:
        """Note that a client has been heard of; `now` is in seconds since 1970."""
        session.updated_at = now
        session.heard_at = self._monotonic()

    @property
    def lease_seconds(self) -> float:
        """How long a session belongs to a client that says nothing."""
        return MISSED_HEARTBEATS * self.heartbeat_seconds

    def restore(self, session: Session, *, is_expected: bool = False) -> None:
        """Put back a session from before a restart; its client may come back before anybody else has it.

        Or, `is_expected`, one that another bridge had up to now, where its client could have been heard.

        The monotonic clock may have started anew, so its age is what the wall clock says, within bounds
        that hold however that was set: a live session has a whole lease, and one that is over lingers
        for the rest of its time, for at least a lease and at most the whole of it.
        """
        self._put(session)
        now = self._monotonic()
        self._estimate_silence(session)
        session.updated_at = min(session.updated_at, self._clock())
        if session.stage is Stage.LIVE and is_expected:
            session.closed_at = None if session.connected else session.heard_at
            return
        if session.stage is Stage.LIVE:
            session.leased_until = now + self.lease_seconds
            session.closed_at = None if session.connected else now
            return
        lingered = max(0.0, self._clock() - session.ended_at)
        rest = max(self._linger_seconds - lingered, self.lease_seconds)
        session.over_since = now + min(rest, self._linger_seconds) - self._linger_seconds

    def due(self) -> Iterator[tuple[Session, Event]]:
        """Yield what time has brought: sessions that fell silent, were lost, or have lingered long enough."""
        now = self._monotonic()
        for session in self:
            if session.stage is Stage.LIVE:
                if self.is_leased(session):
                    continue
                if self._is_in_the_way(session, now):
                    yield session, Ended(Stage.LOST)
                    yield session, Expired()
                elif now - session.heard_at >= self._lost_seconds:
                    yield from self._give_up(session, now)
                else:
                    yield from _fallen_silent(session)
                continue
            if session.over_since is None:
                session.over_since = session.heard_at  # it said so itself
            if now - session.over_since >= self._linger_seconds:
                yield session, Expired()

    def _give_up(self, session: Session, now: float) -> Iterator[tuple[Session, Event]]:
        """Yield the end of a session that was silent for too long; one that went on elsewhere is only put away."""
        if session.has_moved:
            yield session, Expired()
            return
        yield session, Ended(Stage.LOST)
        session.over_since = now

    def _is_in_the_way(self, session: Session, now: float) -> bool:
        """Return whether a session has never been used, and places are scarce.

        Where they are not, its client may still be loading its data.
        """
        is_old = session.is_unused and now - session.heard_at >= self._unused_seconds
        return is_old and len(self._sessions) > CROWDED * self.limit

    def take_arrived(self) -> frozenset[str]:
        """Return the sessions that have come into memory since this was called last, or have left it with a last state."""
        arrived, self._arrived = frozenset(self._arrived), set()
        return arrived

    def arrive_again(self) -> None:
        """Have all that is in memory count as having come there since `take_arrived` was called last."""
        self._arrived |= self._sessions.keys()

    def _put(self, session: Session) -> None:
        self._sessions[session.id] = session
        self._arrived.add(session.id)

    def expire(self, session: Session, *, is_owned: bool = False) -> None:
        """Drop a session from memory; `is_owned`: it is still to be written, so the next commit looks whether it may be."""
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]
            if is_owned:
                self._arrived.add(session.id)

    def _estimate_silence(self, session: Session) -> None:
        """Estimate by the wall clock how long a session from disk has been silent; never less than nothing."""
        silent = max(0.0, self._clock() - session.updated_at)
        session.heard_at = self._monotonic() - silent

    def _added(self, session_id: str, client: Client, config: Config, *, attempt: int) -> Session:
        session = Session(session_id, client, config, now=self._clock(), attempt=attempt)
        session.heard_at = self._monotonic()
        self._put(session)
        return session

    def _resumed(self, session: Session, client: Client, config: Config) -> Session:
        self._put(session)
        session.client = session.client.updated(client)
        session.config = session.config.updated(config)
        self.touch(session, self._clock())
        session.over_since = session.closed_at = None
        session.is_sent_elsewhere = False
        if session.stage is Stage.ENDED:
            session.is_resumed = True
            session.ended_at = max(session.updated_at, EARLIEST)
        else:
            session.stage = Stage.LIVE
            session.ended_at = 0.0
        return session

    def _check_limits(self, session_id: str, owner: Identity) -> None:
        if session_id in self._sessions:
            return
        if len(self._sessions) >= self.limit:
            raise LimitError(f"this bridge already holds {self.limit} sessions (--max-sessions)")
        self._rate.claim(owner.name)


def new_name(owner: Identity) -> str:
    """Return a name that no session has; it begins as those of its owner have to."""
    return f"{owner.sessions}run-{secrets.token_hex(6)}"[:LONGEST_ID]


def _fallen_silent(session: Session) -> Iterator[tuple[Session, Event]]:
    """Yield what follows from three heartbeats without a word: once, and not for one that has not begun."""
    if session.connected:
        yield session, Disconnected()
    if not (session.is_absent or session.is_unused):
        yield session, Absent()


def _held_by(session: Session, seconds: float) -> str:
    """Return why a registration is refused: who holds the name, and when it may be asked for again."""
    name, host = session.client.name[:NAME_SHOWN], session.client_host
    who = " on ".join(filter(None, (name, host)))
    sooner = "" if session.closed_at is not None else ", or sooner if its stream closes"
    return (
        f"{SENT_BY_ANOTHER}{f' ({who})' if who else ''}; the name is free in {math.ceil(seconds)} s if that"
        f" one is not heard of until then{sooner}"
    )

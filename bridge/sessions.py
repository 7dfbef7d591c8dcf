"""A session's state and life, and the registry of all of them.

Whatever is measured (leases, silence, linger) is measured on the monotonic clock, which nobody can set;
times since 1970 are only shown.
"""

import hmac
import math
import re
import secrets
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from operator import attrgetter, itemgetter
from typing import Any

from bridge.errors import ForeignSessionError, InvalidDataError, LimitError, UnknownSessionError
from bridge.history import Curve
from bridge.model import (
    MISSED_HEARTBEATS,
    Batch,
    Client,
    CommandAnswered,
    CommandSent,
    Config,
    Connected,
    Disconnected,
    Ended,
    Epoch,
    Event,
    Forgotten,
    Gpu,
    Performance,
    Phase,
    Resources,
    Scalars,
    SequenceAdvanced,
    Status,
    StatusChange,
    reported,
    trace_id_of,
)

SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""URL-safe, since Grafana percent-decodes links, and one path segment in every store."""

EARLIEST = 0.001
"""The end of a session while the clock says 1970 or less: 0 means that it has not ended."""

SUPERSEDED = (
    "a newer attempt of this session has taken its place; nothing more of this one is taken"
    " under the session's name"
)

SKIPS_KEPT = 1_000
"""Ranges of sequences that the client of a session began behind; the lowest ones go first."""

FORMER_KEPT = 200
"""Earlier attempts of a session whose clients are known."""

SEQUENCE_LIMIT = (1 << 63) - 1
"""The highest sequence that a session may have: what the journal can store."""

TOKENS_KEPT = 8
"""Registering again changes nothing, so a stream opened just before it is still good.

Eight, since a client registers once for each stream, and a stream shows its token only once, when it
begins: one that is open goes on whatever is registered after it.
"""

HOSTS_KEPT = 16
"""Hosts that a session without client_instance_id may be registered from."""

EPOCHS_KEPT = 2_000
NOTICES_KEPT = 50
SCALARS_KEPT = 50


PLAIN = (
    *("id", "attempt", "phase", "status", "status_message", "connected", "is_resumed"),
    *("registered_at", "updated_at", "ended_at"),
    *("accepted", "epoch", "batch", "batches", "loss"),
)
"""What a snapshot takes as it is."""

FORMAT = 2
"""Of snapshots; in those before it, which do not name theirs, 0 may also mean "not reported"."""

_EPOCH_FIELDS = attrgetter(*Epoch.__slots__)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth telling on a session's page."""

    at: float
    text: str


class Session:
    """What the bridge knows of one session, apart from its series, spans and images."""

    def __init__(
        self, session_id: str, client: Client, config: Config, *, now: float, attempt: int = 1
    ) -> None:
        """Start an attempt of a session; `now` is in seconds since 1970."""
        self.id = session_id
        self.client = client
        self.config = config
        self.attempt = attempt
        self.former: tuple[str, ...] = ()
        """The instance ids of earlier attempts, the last one at the end; none of them may come back."""
        self.phase = Phase.LIVE
        self.status = Status.UNKNOWN
        self.status_message = ""
        self.connected = False
        self.is_resumed = False
        """Registered again after its end: the next thing it says makes it live."""
        self.registered_at = now
        self.updated_at = now
        """When the last message came."""
        self.ended_at = 0.0
        """When it ended or was lost; 0 while live."""
        self.heard_at = -math.inf
        """When the last message came, on the monotonic clock."""
        self.leased_until = -math.inf
        """Monotonic: its client may come back until then, though it was last heard of before a restart."""
        self.over_since: float | None = None
        """Monotonic: since when it lingers; None while it is live, and until the registry has noticed its end."""
        self.accepted = 0
        """Highest sequence applied."""
        self.committed = 0
        """Highest sequence that has been committed."""
        self.skipped: tuple[tuple[int, int], ...] = ()
        """First and last of the sequences that its client began behind, in order: neither applied nor to come."""
        self.token_hashes: tuple[str, ...] = ()
        """Of what a stream must show one of, as SHA-256 in hex: one for each of the last registrations."""
        self.hosts: tuple[str, ...] = ()
        """Where a client that does not name itself has registered from; empty where that is not known."""
        self.epoch = 0
        self.batch = 0
        """Where the loop is: at its last batch, or where it logged scalars if it sends no batches."""
        self.batches = 0
        """Batches received in this attempt."""
        self.loss: float | None = None
        """Of the last batch that reported one."""
        self.losses = Curve()
        self.epochs: deque[Epoch] = deque(maxlen=EPOCHS_KEPT)
        self.performance: Performance | None = None
        self.scalars: dict[str, float] = {}
        self.notices: deque[Notice] = deque(maxlen=NOTICES_KEPT)
        self.images_acknowledged: tuple[int, int] | None = None
        """How many images kept and not kept its Acks have reported; None: nothing since the bridge started."""
        self.parts: dict[str, Any] = {}
        """What other parts of the bridge had said of it before a restart; each takes its own out."""

    @property
    def trace_id(self) -> str:
        """The trace of this attempt: the client's own where it sent a sampled traceparent."""
        parent = self.client.traceparent.split("-")
        if len(parent) == 4 and int(parent[3], 16) & 1:
            return parent[1]
        return trace_id_of(self.id, self.attempt)

    def supersedes(self, client: Client, now: float) -> bool:
        """Tell whether this attempt has taken the place of the one that a client belongs to.

        What a process has left says when that began: it never replaces an attempt that began later. A
        process that registers alive comes later whatever its clock says, unless it was here before.
        """
        if client.instance_id in self.former:
            return True
        began_ms = self.client.started_ms or self.registered_at * 1000
        return client.is_left_over and not began_ms < client.started_ms <= now * 1000

    def follow(self, before: "Session") -> None:
        """Be the attempt after another one, whose client is known from now on as a former one."""
        former = before.client.instance_id
        self.former = (*before.former, *([former] if former else []))[-FORMER_KEPT:]
        self.parts = before.parts

    def issue_token(self) -> str:
        """Return what streams of this registration show; those of the last ones stay valid."""
        token = secrets.token_urlsafe(24)
        self.token_hashes = (*self.token_hashes, hash_of(token))[-TOKENS_KEPT:]
        return token

    def accepts_token_hash(self, token_hash: str) -> bool:
        """Tell whether a stream has shown the token of one of the last registrations."""
        matches = [hmac.compare_digest(known, token_hash) for known in self.token_hashes]
        return any(matches)

    def add_host(self, host: str) -> None:
        """Let streams come from a host that the session was registered from."""
        if host and host not in self.hosts:
            self.hosts = (*self.hosts, host)[-HOSTS_KEPT:]

    def has_skipped(self, sequence: int) -> bool:
        """Tell whether the client has begun behind a sequence, which then is not to come any more."""
        at = bisect_right(self.skipped, sequence, key=itemgetter(0)) - 1
        return at >= 0 and sequence <= self.skipped[at][1]

    def apply(self, event: Event, now: float) -> None:
        """Take notice of an event."""
        apply = _APPLY.get(type(event))
        if apply is not None:
            apply(self, event, now)

    def snapshot(self) -> dict[str, Any]:
        """Return what `restored` takes: plain values, none of which changes any more."""
        return {
            "format": FORMAT,
            **{name: getattr(self, name) for name in PLAIN},
            "former": self.former,
            "skipped": self.skipped,
            "client": asdict(self.client),
            "config": asdict(self.config),
            "losses": self.losses.snapshot(),
            "epochs": [_EPOCH_FIELDS(epoch) for epoch in self.epochs],
            "performance": asdict(self.performance) if self.performance else None,
            "scalars": dict(self.scalars),
            "notices": [(notice.at, notice.text) for notice in self.notices],
            "token_hashes": self.token_hashes,
            "hosts": self.hosts,
        }

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Session":
        """Return the session a snapshot was taken of."""
        if state.get("format", 1) < FORMAT:
            state = _upgraded(state)
        config = Config(**{**state["config"], "class_names": tuple(state["config"]["class_names"])})
        session = cls(state["id"], Client(**state["client"]), config, now=state["registered_at"])
        for name in PLAIN:
            setattr(session, name, state[name])
        session.phase, session.status = Phase(session.phase), Status(session.status)
        session.former = tuple(state.get("former", ()))  # older versions wrote none
        session.skipped = tuple((first, last) for first, last in state.get("skipped", ()))
        session.committed = session.accepted
        session.losses = Curve.restored(state["losses"])
        session.epochs.extend(Epoch(*epoch) for epoch in state["epochs"])
        session.performance = _performance(state["performance"])
        session.scalars = state["scalars"]
        session.notices.extend(Notice(at, text) for at, text in state["notices"])
        session.token_hashes = tuple(state.get("token_hashes", ()))  # older versions wrote neither
        session.hosts = tuple(state.get("hosts", ()))
        return session

    def _batch(self, batch: Batch, now: float) -> None:
        self.epoch, self.batch = batch.epoch, batch.index
        self.batches += 1
        if batch.loss is not None:
            self.loss = batch.loss
            self.losses.add(batch.loss, at=now, epoch=batch.epoch, batch=batch.index)

    def _epoch(self, epoch: Epoch, _now: float) -> None:
        self.epochs.append(epoch)

    def _performance(self, performance: Performance, _now: float) -> None:
        self.performance = performance

    def _scalars(self, scalars: Scalars, _now: float) -> None:
        if not self.batches:
            self.epoch, self.batch = scalars.epoch, scalars.batch
        for name, value in scalars.values.items():
            if name in self.scalars or len(self.scalars) < SCALARS_KEPT:
                self.scalars[name] = value

    def _status(self, change: StatusChange, now: float) -> None:
        before = self.status
        if change.status is not Status.UNKNOWN:
            self.status = change.status
        if change.message or self.status is not before:
            self.status_message = (
                change.message
            )  # one that was sent with another status is not of this one
        if change.config is not None:
            self.config = self.config.updated(change.config)
        said = "" if change.status is Status.UNKNOWN else str(change.status)
        if said or change.message:
            self._notice(now, ": ".join(filter(None, (said, change.message))))

    def _connected(self, _event: Connected, now: float) -> None:
        self.phase = Phase.LIVE
        self.ended_at = 0.0
        self.over_since = None
        self.connected = True
        self._notice(now, "connected")

    def _disconnected(self, _event: Disconnected, now: float) -> None:
        self.connected = False
        self._notice(now, "disconnected")

    def _advanced(self, advanced: SequenceAdvanced, _now: float) -> None:
        first, last = advanced.first_skipped, advanced.last_skipped
        if not 0 < first <= last:
            return
        if self.skipped and self.skipped[-1][1] + 1 == first:
            first, self.skipped = self.skipped[-1][0], self.skipped[:-1]
        self.skipped = (*self.skipped, (first, last))[-SKIPS_KEPT:]

    def _command_sent(self, sent: CommandSent, now: float) -> None:
        self._notice(now, f"command {sent.type.name} sent")

    def _command_answered(self, answered: CommandAnswered, now: float) -> None:
        outcome = "applied" if answered.result.applied else "refused"
        where = f"at epoch {answered.result.epoch}, batch {answered.result.batch}"
        text = f": {answered.result.message}" if answered.result.message else ""
        self._notice(now, f"command {answered.type.name} {outcome} {where}{text}")

    def _ended(self, ended: Ended, now: float) -> None:
        self.phase = ended.phase
        self.is_resumed = False
        self.ended_at = max(now, EARLIEST)
        self.over_since = None
        self.connected = False
        if ended.phase is Phase.LOST:
            self._notice(now, "lost: silent for too long")

    def _notice(self, now: float, text: str) -> None:
        self.notices.append(Notice(now, text))


_APPLY: dict[type, Callable[[Session, Any, float], None]] = {
    Batch: Session._batch,
    Epoch: Session._epoch,
    Performance: Session._performance,
    Scalars: Session._scalars,
    StatusChange: Session._status,
    Connected: Session._connected,
    Disconnected: Session._disconnected,
    CommandSent: Session._command_sent,
    CommandAnswered: Session._command_answered,
    Ended: Session._ended,
    SequenceAdvanced: Session._advanced,
}


def _upgraded(state: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot of the format before with None for what may not have been reported."""
    epochs = [(number, loss, reported(a), *more) for number, loss, a, *more in state["epochs"]]
    performance = state["performance"]
    return {
        **state,
        "loss": state["loss"] if state["batches"] else None,
        "epochs": epochs,
        "performance": None if performance is None else without_zeros(performance),
    }


def without_zeros(performance: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a Performance with None for each 0, resources included."""
    return {name: _without_zeros(name, value) for name, value in performance.items()}


def _without_zeros(name: str, value: Any) -> Any:
    if name == "resources" and value is not None:
        return without_zeros(value)
    if name == "gpus":
        return [
            {key: one if key in ("index", "uuid") else reported(one) for key, one in gpu.items()}
            for gpu in value
        ]
    return reported(value)


def _performance(state: dict[str, Any] | None) -> Performance | None:
    if state is None:
        return None
    resources = state["resources"]
    if resources is not None:
        resources = Resources(
            **{**resources, "gpus": tuple(Gpu(**gpu) for gpu in resources["gpus"])}
        )
    return Performance(**{**state, "resources": resources})


def hash_of(token: str) -> str:
    """Return what is kept of a token: SHA-256 in hex. The token is random and long, so it needs no salt."""
    return sha256(token.encode(errors="replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of a request to register."""

    session: Session
    is_new: bool
    """A new attempt, rather than the one that is known."""
    token: str = ""
    """What streams must show, for a client that names itself."""


class Sessions:
    """The sessions held in memory: live ones, and those that linger after their end."""

    def __init__(
        self,
        *,
        limit: int = 2_000,
        new_per_minute: int = 600,
        heartbeat_seconds: float = 20.0,
        linger_seconds: float = 300.0,
        lost_seconds: float = 3_600.0,
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
        self._new_per_minute = new_per_minute
        self._recent: deque[float] = deque()
        self._sessions: dict[str, Session] = {}
        self._clock = clock
        self._monotonic = monotonic or clock

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

    def register(
        self, session_id: str, client: Client, config: Config, remembered: Session | None = None
    ) -> Registration:
        """Open, resume or start anew.

        `remembered` is the session as it was before it was forgotten, if it was, so that it can be
        resumed, and so that no attempt of a name is counted twice.

        The same client instance resumes its session, also an ended one; another one is refused while the
        first is alive (three heartbeats) and starts a new attempt after that. Clients that do not name
        themselves are taken for the same one until the session has ended, and then for another. What belongs to an attempt before the one
        that is known is refused, however that one has ended.

        Raises InvalidDataError for an id that breaks the rule, ForeignSessionError, LimitError.
        """
        session_id = session_id or f"run-{secrets.token_hex(6)}"
        if not SESSION_ID.fullmatch(session_id):
            raise InvalidDataError("session_id must match [A-Za-z0-9][A-Za-z0-9._-]{0,62}")
        known = self._sessions.get(session_id) or remembered
        if known is None:
            return Registration(self._added(session_id, client, config, attempt=1), is_new=True)
        is_same = known.client.instance_id == client.instance_id
        if is_same and (client.instance_id or known.phase is not Phase.ENDED):
            return Registration(self._resumed(known, client, config), is_new=False)
        if known is remembered:
            self._estimate_silence(known)
        if known.supersedes(client, self._clock()):
            raise ForeignSessionError(SUPERSEDED)
        if known.phase is Phase.LIVE and self.is_leased(known):
            raise ForeignSessionError("this session is being sent by another training process")
        session = self._added(session_id, client, config, attempt=known.attempt + 1)
        session.follow(known)
        return Registration(session, is_new=True)

    def is_leased(self, session: Session) -> bool:
        """Tell whether a session has been heard of within three heartbeats."""
        heard_until = session.heard_at + self.lease_seconds
        return self._monotonic() < max(heard_until, session.leased_until)

    def touch(self, session: Session, now: float) -> None:
        """Note that a client has been heard of; `now` is in seconds since 1970."""
        session.updated_at = now
        session.heard_at = self._monotonic()

    @property
    def lease_seconds(self) -> float:
        """How long a session belongs to a client that says nothing."""
        return MISSED_HEARTBEATS * self.heartbeat_seconds

    def restore(self, session: Session) -> None:
        """Put back a session from before a restart; its client may come back before anybody else has it.

        The monotonic clock may have started anew, so its age is what the wall clock says, within bounds
        that hold however that was set: a live session has a whole lease, and one that is over lingers
        for the rest of its time, for at least a lease and at most the whole of it.
        """
        self._sessions[session.id] = session
        now = self._monotonic()
        self._estimate_silence(session)
        session.updated_at = min(session.updated_at, self._clock())
        if session.phase is Phase.LIVE:
            session.leased_until = now + self.lease_seconds
            return
        lingered = max(0.0, self._clock() - session.ended_at)
        rest = max(self._linger_seconds - lingered, self.lease_seconds)
        session.over_since = now + min(rest, self._linger_seconds) - self._linger_seconds

    def due(self) -> Iterator[tuple[Session, Event]]:
        """Yield what time has brought: sessions that fell silent, were lost, or have lingered long enough."""
        now = self._monotonic()
        for session in self:
            if session.phase is Phase.LIVE:
                if self.is_leased(session):
                    continue
                if now - session.heard_at >= self._lost_seconds:
                    yield session, Ended(Phase.LOST)
                    session.over_since = now
                elif session.connected:
                    yield session, Disconnected()
                continue
            if session.over_since is None:
                session.over_since = session.heard_at  # it said so itself
            if now - session.over_since >= self._linger_seconds:
                yield session, Forgotten()

    def forget(self, session: Session) -> None:
        """Drop a session from memory."""
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]

    def _estimate_silence(self, session: Session) -> None:
        """Estimate by the wall clock how long a session from disk has been silent; never less than nothing."""
        silent = max(0.0, self._clock() - session.updated_at)
        session.heard_at = self._monotonic() - silent

    def _added(self, session_id: str, client: Client, config: Config, *, attempt: int) -> Session:
        self._check_limits(session_id)
        session = Session(session_id, client, config, now=self._clock(), attempt=attempt)
        session.heard_at = self._monotonic()
        self._sessions[session_id] = session
        return session

    def _resumed(self, session: Session, client: Client, config: Config) -> Session:
        self._check_limits(session.id)
        self._sessions[session.id] = session
        session.client = session.client.updated(client)
        session.config = session.config.updated(config)
        self.touch(session, self._clock())
        session.over_since = None
        if session.phase is Phase.ENDED:
            session.is_resumed = True
            session.ended_at = max(session.updated_at, EARLIEST)
        else:
            session.phase = Phase.LIVE
            session.ended_at = 0.0
        return session

    def _check_limits(self, session_id: str) -> None:
        if session_id in self._sessions:
            return
        if len(self._sessions) >= self.limit:
            raise LimitError(f"this bridge already holds {self.limit} sessions (--max-sessions)")
        now = self._monotonic()
        while self._recent and now - self._recent[0] >= 60:
            self._recent.popleft()
        if len(self._recent) >= self._new_per_minute:
            raise LimitError(
                f"more than {self._new_per_minute} new sessions a minute"
                " (--max-new-sessions-per-minute)"
            )
        self._recent.append(now)

"""One session's state: what the bridge knows of it, apart from its series, spans and images."""

import math
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from bridge.history import Curve
from bridge.lifecycle import (
    Absent,
    AlertReceived,
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Event,
    SentElsewhere,
    SequenceAdvanced,
)
from bridge.model import (
    Batch,
    Client,
    Config,
    Epoch,
    Occurrence,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.notices import NOTICES_KEPT, Notice, answer_text, status_text
from bridge.occurrences import Occurrences
from bridge.phases import PhaseClock, Steps, implied_phase
from bridge.protocol import STALL_SECONDS
from bridge.received_alerts import ReceivedAlerts
from bridge.recent_progress import Progress, RecentProgress
from bridge.scalar_history import ScalarHistory
from bridge.sequences import Ranges, extended, is_within
from bridge.stream_proof import StreamProof
from bridge.trace_context import trace_id_of

EARLIEST = 0.001
"""The end of a session while the clock says 1970 or less: 0 means that it has not ended."""

SEQUENCE_LIMIT = (1 << 63) - 1
"""The highest sequence that a session may have: what the journal can store."""

EPOCHS_KEPT = 2_000

EPOCH_ENDS_KEPT = 500
"""Epochs of which it is known when they were reported."""


class Holder(NamedTuple):
    """Who sends a session: a client instance, in one attempt."""

    instance_id: str = ""
    attempt: int = 0


class Session:
    """What the bridge knows of one session, apart from its series, spans and images."""

    stage = Stage.LIVE
    status = Status.UNKNOWN
    status_message = ""
    connected = False
    is_absent = False
    """It has begun here, and no stream has spoken for it for three heartbeats."""
    is_sent_elsewhere = False
    """Its client was asked to connect again, and has not been back since its stream ended."""
    is_unused = True
    """Registered, and nothing was ever sent."""
    is_resumed = False
    """Registered again after its end: the next thing it says makes it live."""
    ended_at = 0.0
    """When it ended or was lost; 0 while live."""
    heard_at = -math.inf
    """When the last message came, on the monotonic clock."""
    leased_until = -math.inf
    """Monotonic: its client may come back until then, though it was last heard of before a restart."""
    closed_at: float | None = None
    """Monotonic: when its last stream closed; None while one is open, and where it has not been open yet."""
    over_since: float | None = None
    """Monotonic: since when it lingers; None while it is live, and until the registry has noticed its end."""
    client_host = ""
    """Where its client registered from last; "": not known."""
    former: tuple[str, ...] = ()
    """The instance ids of earlier attempts, the last one at the end; none of them may come back."""
    accepted = committed = 0
    """The highest sequence that was applied, and the highest that has been committed."""
    skipped: Ranges = ()
    """First and last of the sequences that its client began behind, in order: neither applied nor to come."""
    epoch = batch = 0
    """Where the loop is: at its last batch, or where it logged scalars if it sends no batches."""
    batches = 0
    """Batches received in this attempt, or as many as a process that sends none has reported."""
    stepped_at = 0.0
    """When the last one came, in seconds since 1970; 0: none came."""
    step: int | None = None
    """The highest that was reported, or that of the last batch, counted over the whole run."""
    tokens = 0
    """Of all batches of this attempt; 0: not reported."""
    loss: float | None = None
    """Of the last batch that reported one."""
    performance: Performance | None = None
    images_acknowledged: tuple[int, int] | None = None
    """How many images kept and not kept its Acks have reported; None: nothing since the bridge started."""

    def __init__(
        self, session_id: str, client: Client, config: Config, *, now: float, attempt: int = 1
    ) -> None:
        """Start an attempt of a session; `now` is in seconds since 1970."""
        self.id = session_id
        self.client = client
        self.config = config
        self.attempt = attempt
        self.registered_at = self.updated_at = now
        """When it was registered, and when the last message came."""
        self.proof = StreamProof()
        self.phases = PhaseClock(now)
        """What the loop has been busy with."""
        self.recent_progress = RecentProgress()
        self.losses = Curve()
        self.epochs: deque[Epoch] = deque(maxlen=EPOCHS_KEPT)
        self.epoch_ends: deque[tuple[int, float]] = deque(maxlen=EPOCH_ENDS_KEPT)
        """Which epochs were reported last, and when."""
        self.scalars = ScalarHistory()
        self.occurrences = Occurrences()
        self.alerts = ReceivedAlerts()
        """Those about this attempt."""
        self.notices: deque[Notice] = deque(maxlen=NOTICES_KEPT)
        self.restored_state: dict[str, Any] = {}
        """By CHECKPOINT_KEY, what sinks and commands knew of it before a restart; each takes its own out."""

    @property
    def holder(self) -> Holder:
        """Who may send the session now; streams of anybody else are refused."""
        return Holder(self.client.instance_id, self.attempt)

    @property
    def has_moved(self) -> bool:
        """Whether it goes on elsewhere, as far as is known here: this is a copy that nobody updates any more."""
        return self.stage is Stage.LIVE and self.is_sent_elsewhere and not self.connected

    @property
    def state(self) -> str:
        """One word for what it is doing: its status, unless nobody knows whether that is still so."""
        if self.stage is Stage.LOST:
            return "lost"
        if self.stage is Stage.LIVE and self.is_absent:
            return "disconnected"
        return str(self.status)

    @property
    def phase(self) -> str:
        """What the loop is busy with, as far as is known here; "": it is over, or nobody knows."""
        is_over = self.stage is not Stage.LIVE
        return "" if is_over or self.is_absent or self.has_moved else self.phases.name

    def is_repeated(self, change: StatusChange) -> bool:
        """Return whether a report says only what is known: so it is where a client says again how things are."""
        is_known = change.status in (Status.UNKNOWN, self.status)
        return is_known and change.message in ("", self.status_message)

    @property
    def trace_id(self) -> str:
        """The trace of this attempt: the client's own where it sent a sampled traceparent."""
        parent = self.client.trace_context
        if parent is not None and parent.is_sampled:
            return parent.trace_id
        return trace_id_of(self.id, self.attempt)

    def has_skipped(self, sequence: int) -> bool:
        """Return whether the client has begun behind a sequence, which then is not to come any more."""
        return is_within(self.skipped, sequence)

    @property
    def began_elsewhere(self) -> bool:
        """Whether its client had begun before it came here: the beginning of its page is on another bridge, or lost."""
        return bool(self.skipped) and self.skipped[0][0] == 1

    def apply(self, event: Event, now: float) -> None:
        """Update the state by an event."""
        apply = _APPLY.get(type(event))
        if apply is not None:
            apply(self, event, now)

    @property
    def steps(self) -> Steps:
        """How many steps this attempt has made, and when the last one came."""
        return Steps(self.stepped_at, self.batches)

    def phase_seconds(self, now: float) -> dict[str, float]:
        """Return the seconds of each phase of this attempt by `now`, and those lost before it."""
        return self.phases.seconds_at(self.updated_at if self.is_absent else now, self.steps)

    def run_phase_seconds(self, now: float) -> dict[str, float]:
        """Return the seconds of each phase of all attempts by `now`, and those lost between them."""
        return self.phases.total_at(self.updated_at if self.is_absent else now, self.steps)

    def _batch(self, batch: Batch, now: float) -> None:
        self.epoch, self.batch = batch.epoch, batch.index
        if not 0.0 <= now - self.stepped_at <= STALL_SECONDS:
            self.phases.step(now, self.steps)
        self.batches += 1
        self.stepped_at = now
        self.tokens += batch.tokens
        if batch.step is not None:
            self.step = batch.step
        if batch.loss is not None:
            self.loss = batch.loss
            self.losses.add(
                batch.loss,
                at=now,
                epoch=batch.epoch,
                batch=batch.index,
                images=batch.images_received,
                step=batch.step,
            )

    def _epoch(self, epoch: Epoch, now: float) -> None:
        self.epochs.append(epoch)
        self.epoch_ends.append((epoch.number, now))
        if not self.batches:
            self.phases.derive("training", now, self.steps)

    def _performance(self, performance: Performance, now: float) -> None:
        self.performance = performance
        self._light_progress(performance, now)
        self.phases.report(performance.phase, performance.phase_seconds, now, self.steps)
        self.recent_progress.add(Progress(now, self.batches, self.phase_seconds(now)))

    def _light_progress(self, performance: Performance, now: float) -> None:
        """Note the steps of a process that reports their number instead of batches."""
        batches, step = performance.batches or 0, performance.step
        if batches <= self.batches and (step is None or step <= (self.step or 0)):
            return
        if not 0.0 <= now - self.stepped_at <= STALL_SECONDS:
            self.phases.step(now, self.steps)
        self.batches = max(self.batches, batches)
        self.step = self.step if step is None else step
        self.stepped_at = now

    def _scalars(self, scalars: Scalars, now: float) -> None:
        if not self.batches:
            self.epoch, self.batch = scalars.epoch, scalars.batch
            self.step = self.step if scalars.step is None else scalars.step
            self.phases.derive("training", now, self.steps)
        reached = self.step if self.step is not None else self.batches or None
        self.scalars.add(scalars, at=now, reached=reached)

    def _occurred(self, occurrence: Occurrence, now: float) -> None:
        self.occurrences.add(occurrence, now)

    def _status(self, change: StatusChange, now: float) -> None:
        before, is_repeated = self.status, self.is_repeated(change)
        if change.status is not Status.UNKNOWN:
            self.status = change.status
        if change.message or self.status is not before:
            # One that was sent with another status is not of this one.
            self.status_message = change.message
        if change.config is not None:
            self.config = self.config.updated(change.config)
        if (text := status_text(change)) and not is_repeated:
            self._notice(now, text)
        has_begun = bool(self.batches or self.epochs or self.scalars.newest)
        implied = implied_phase(self.status, has_begun=has_begun)
        if implied and self.stage is Stage.LIVE:
            self.phases.derive(implied, now, self.steps)
        self.phases.report(change.phase, change.phase_seconds, now, self.steps)

    def _connected(self, _event: Connected, now: float) -> None:
        self.stage = Stage.LIVE
        self.ended_at = 0.0
        self.over_since = None
        self.connected = True
        self.is_unused = self.is_absent = self.is_sent_elsewhere = False
        self.phases.resume(now, self.steps)
        self._notice(now, "connected")

    def _disconnected(self, _event: Disconnected, now: float) -> None:
        self.connected = False
        self._notice(now, "disconnected")

    def _absent(self, _event: Absent, now: float) -> None:
        self.is_absent = True
        self._notice(now, "not heard of for three heartbeats")

    def _sent_elsewhere(self, _event: SentElsewhere, now: float) -> None:
        self.is_sent_elsewhere = True
        self._notice(now, "sent on: this bridge stops, or makes room")

    def _advanced(self, advanced: SequenceAdvanced, _now: float) -> None:
        first, last = advanced.first_skipped, advanced.last_skipped
        self.skipped = extended(self.skipped, first, last)

    def _command_sent(self, sent: CommandSent, now: float) -> None:
        self._notice(now, f"command {sent.type.name} sent")

    def _command_answered(self, answered: CommandAnswered, now: float) -> None:
        self._notice(now, answer_text(answered))

    def _alert(self, alert: AlertReceived, now: float) -> None:
        self.alerts.add(alert, now)

    def _ended(self, ended: Ended, now: float) -> None:
        self.stage = ended.stage
        self.is_resumed = False
        self.ended_at = max(now, EARLIEST)
        self.phases.end(self.updated_at if ended.stage is Stage.LOST else now, self.steps)
        self.over_since = None
        self.connected = self.is_sent_elsewhere = False
        if ended.stage is Stage.LOST:
            self._notice(now, "lost: silent for too long")

    def _notice(self, now: float, text: str) -> None:
        self.notices.append(Notice(now, text))


_APPLY: dict[type, Callable[[Session, Any, float], None]] = {
    Batch: Session._batch,
    Epoch: Session._epoch,
    Performance: Session._performance,
    Scalars: Session._scalars,
    Occurrence: Session._occurred,
    StatusChange: Session._status,
    Connected: Session._connected,
    Disconnected: Session._disconnected,
    Absent: Session._absent,
    SentElsewhere: Session._sent_elsewhere,
    CommandSent: Session._command_sent,
    CommandAnswered: Session._command_answered,
    AlertReceived: Session._alert,
    Ended: Session._ended,
    SequenceAdvanced: Session._advanced,
}

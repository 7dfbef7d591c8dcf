"""What the bridge itself observes of a session, and everything a sink consumes."""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.model import CommandResult, Message, Stage
from bridge.protocol import CommandType


@dataclass(frozen=True, slots=True)
class Registered:
    """A session was registered, or registered again."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """The next attempt of the session begins now: nothing more comes of this one, which is kept as it stands."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The first message of a stream of the session has arrived."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The last stream of the session is gone, or silent for three heartbeats."""


@dataclass(frozen=True, slots=True)
class Absent:
    """No stream has spoken for the session for three heartbeats, and none has said that it ended."""


@dataclass(frozen=True, slots=True)
class SentElsewhere:
    """The client of the session was asked to connect again, which may be to another bridge."""


@dataclass(frozen=True, slots=True)
class CommandQueued:
    """A command was submitted for the training loop."""

    command_id: str
    type: CommandType
    parameters: Mapping[str, str]
    source: str = ""
    """What sent it, such as "alert TrainingDiverging" or "person at 10.0.0.7"; "": not known."""
    expires_at: float = 0.0
    """Until when it is of use, in seconds since 1970; 0: however long it takes."""


@dataclass(frozen=True, slots=True)
class CommandSent:
    """A command left for the training loop."""

    command_id: str
    type: CommandType
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CommandAnswered:
    """The training loop has reported the result of a command."""

    type: CommandType
    result: CommandResult


@dataclass(frozen=True, slots=True)
class AlertReceived:
    """An alert about the session was received: that it fires, or that it no longer does."""

    fingerprint: str
    """The hash of its labels, by which Alertmanager knows it."""
    name: str
    starts_at: float
    """Since when it fires, in seconds since 1970."""
    ends_at: float = 0.0
    """Until when it fired; 0: it fires."""
    severity: str = ""
    summary: str = ""
    command_id: str = ""
    """Of the command that it sent; "": none."""
    refusal: str = ""
    """Why its command was not sent; "": it was, or the alert has none."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over: it reported so, or was silent for too long."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Expired:
    """The session has lingered long enough after its end: everything held in memory for it is dropped."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Another bridge has the session now: everything held in memory for it is dropped, without an end.

    What no commit has taken is not written any more, either: its client sends it again, to the other bridge.
    """


@dataclass(frozen=True, slots=True)
class SequenceAdvanced:
    """The session's sequence has risen without a change: over a refused message, or a numbered heartbeat.

    Or its client has begun behind sequences that are neither applied nor to come; 0: there are none.
    """

    first_skipped: int = 0
    last_skipped: int = 0


Lifecycle = (
    Registered
    | Superseded
    | Connected
    | Disconnected
    | Absent
    | SentElsewhere
    | CommandQueued
    | CommandSent
    | CommandAnswered
    | AlertReceived
    | Ended
    | Expired
    | Moved
    | SequenceAdvanced
)
"""What the bridge itself observes of a session."""

Event = Message | Lifecycle
"""What a sink consumes."""

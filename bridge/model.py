"""What the inside of the bridge speaks: frozen facts about training sessions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from hashlib import sha256
from typing import NamedTuple

MISSED_HEARTBEATS = 3
"""A session without a message for this many heartbeats counts as disconnected, and its lease is over."""


class Status(StrEnum):
    """What a training session says it is doing."""

    UNKNOWN = "unknown"
    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_end(self) -> bool:
        """Tell whether a session that says this is over."""
        return self in (Status.COMPLETED, Status.FAILED)


class Phase(StrEnum):
    """Where a session is in its life, as the bridge sees it."""

    LIVE = "live"
    """Registered and not over; it may be disconnected for the moment."""
    ENDED = "ended"
    """It said COMPLETED or FAILED."""
    LOST = "lost"
    """It has been silent for longer than a session may be."""


class ImageResult(StrEnum):
    """What became of an image that a client sent."""

    STORED = "stored"
    """In a shard."""
    SAMPLED_OUT = "sampled_out"
    """Not chosen by the sampler."""
    DROPPED = "dropped"
    """Lost for want of room."""
    INVALID = "invalid"
    """Not a JPEG, or one too large."""


class CommandType(IntEnum):
    """Orders a training loop may be given; the numbers are the protocol's."""

    PAUSE_TRAINING = 1
    RESUME_TRAINING = 2
    STOP_TRAINING = 3
    ADJUST_BATCH_SIZE = 4
    CHANGE_LEARNING_RATE = 5
    SAVE_CHECKPOINT = 16


@dataclass(frozen=True, slots=True)
class Config:
    """How a run was configured; 0 and "" mean not told."""

    total_epochs: int = 0
    batches_per_epoch: int = 0
    batch_size: int = 0
    model_name: str = ""
    dataset_name: str = ""
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """Who registered a session."""

    name: str = ""
    version: str = ""
    instance_id: str = ""
    """Random per training process; "" for clients that know nothing of it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    traceparent: str = ""
    """The W3C trace context the client was in when it registered, or ""."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model made of one image."""

    predicted_class: int
    confidence: float
    """0..1; may be non-finite, since clients may send anything."""


@dataclass(frozen=True, slots=True)
class Image:
    """One JPEG that has passed the header check, and what is known of it."""

    index: int
    """Its place in the batch as sent, from 0."""
    jpeg: bytes
    predicted_class: int | None = None
    confidence: float | None = None
    true_class: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One training step."""

    epoch: int
    index: int
    loss: float
    images: tuple[Image, ...] = ()
    invalid_images: int = 0
    """Images that came with this batch and were refused."""
    predictions: tuple[Prediction, ...] = ()
    ground_truth: tuple[int, ...] = ()
    duration_seconds: float | None = None
    sample_count: int = 0
    """Samples trained on; 0 where nothing tells."""
    sent_ms: int = 0
    """The client's clock; informative only."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The averages of one epoch, told at its end."""

    number: int
    loss: float
    accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    learning_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment; None: not told."""

    index: int
    uuid: str = ""
    utilization_ratio: float | None = None
    memory_used_bytes: float | None = None
    memory_total_bytes: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What a training process uses."""

    cpu_utilization_ratio: float
    """1 is one core's worth; may exceed 1."""
    memory_used_bytes: float
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True)
class Performance:
    """How fast training runs."""

    batch_duration_seconds: float
    epoch_duration_seconds: float
    estimated_time_remaining_seconds: float
    frames_per_second: float
    frames_per_second_average: float
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class StatusChange:
    """The training loop says what it is doing."""

    status: Status
    message: str = ""
    config: Config | None = None


@dataclass(frozen=True, slots=True)
class Scalars:
    """Numbers of the user's own, by name."""

    epoch: int
    batch: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The training loop's answer to a command."""

    command_id: str
    applied: bool
    message: str
    epoch: int
    batch: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The training process is alive."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A session was registered, or registered again."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A stream of the session said its first word."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The last stream of the session is gone, or silent for three heartbeats."""


@dataclass(frozen=True, slots=True)
class CommandAsked:
    """Somebody has given an order for the training loop."""

    command_id: str
    type: CommandType
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CommandSent:
    """A command left for the training loop."""

    command_id: str
    type: CommandType
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CommandAnswered:
    """The training loop said what became of a command."""

    type: CommandType
    result: CommandResult


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over: it said so, or it was silent for too long."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The session's linger is over: everything held in memory for it goes."""


@dataclass(frozen=True, slots=True)
class SequenceAdvanced:
    """The session's sequence has risen without a change: over a refused message, or a numbered heartbeat."""


Message = Batch | Epoch | Performance | StatusChange | Scalars | CommandResult | Heartbeat
"""What a client sends."""

Lifecycle = (
    Registered
    | Connected
    | Disconnected
    | CommandAsked
    | CommandSent
    | CommandAnswered
    | Ended
    | Forgotten
    | SequenceAdvanced
)
"""What the bridge itself observes of a session."""

Event = Message | Lifecycle
"""What a sink consumes."""


class Update(NamedTuple):
    """One decoded request; a tuple, since there is one for every message and it is built twice as fast."""

    session_id: str
    message: Message
    sequence: int = 0
    """Per session and client instance, from 1; 0: the client does not number."""
    size_bytes: int = 0


def trace_id_of(session_id: str, attempt: int) -> str:
    """Return the trace id of a session attempt: 32 hex digits, the same after a restart."""
    return _identity("trace", session_id, attempt)[:32]


def span_id_of(session_id: str, attempt: int, name: str) -> str:
    """Return the id of one span of a session attempt: 16 hex digits, the same after a restart."""
    return _identity("span", session_id, attempt, name)[:16]


def _identity(*parts: object) -> str:
    """Hash the parts; all zeros, which W3C Trace Context forbids, does not happen in practice."""
    return sha256("/".join(map(str, parts)).encode()).hexdigest()

"""The model of a training session inside the bridge: frozen messages and events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from bridge.protocol import CommandType
from bridge.trace_context import TraceContext

MISSED_HEARTBEATS = 3
"""A session that misses this many heartbeats counts as disconnected, and its lease is over."""


class Status(StrEnum):
    """The status that a training session reports."""

    UNKNOWN = "unknown"
    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_end(self) -> bool:
        """Whether a session with this status is over."""
        return self in (Status.COMPLETED, Status.FAILED)


class Phase(StrEnum):
    """The phase of a session's life, as the bridge sees it."""

    LIVE = "live"
    """Registered and not over; it may be disconnected."""
    ENDED = "ended"
    """It reported COMPLETED or FAILED."""
    LOST = "lost"
    """It was silent for longer than a session may be."""


class ImageResult(StrEnum):
    """What became of an image that a client sent."""

    STORED = "stored"
    """In a shard."""
    SAMPLED_OUT = "sampled_out"
    """Not chosen by the sampler."""
    DROPPED = "dropped"
    """Lost because a limit was reached."""
    INVALID = "invalid"
    """Not a JPEG, or one too large."""


def reported(value: float | None) -> float | None:
    """Return a value of a field whose 0 stands for "not reported", as None where it does."""
    return value or None


def is_ratio(value: float) -> bool:
    """Return whether a value is between 0 and 1."""
    return 0.0 <= value <= 1.0


@dataclass(frozen=True, slots=True)
class Config:
    """How a run was configured; 0, "" and no class names mean not reported."""

    total_epochs: int = 0
    batches_per_epoch: int = 0
    batch_size: int = 0
    model_name: str = ""
    dataset_name: str = ""
    class_names: tuple[str, ...] = ()

    def updated(self, later: "Config") -> "Config":
        """Return this with the values that `later` reports; those that it leaves out stay."""
        return Config(
            later.total_epochs or self.total_epochs,
            later.batches_per_epoch or self.batches_per_epoch,
            later.batch_size or self.batch_size,
            later.model_name or self.model_name,
            later.dataset_name or self.dataset_name,
            later.class_names or self.class_names,
        )


@dataclass(frozen=True, slots=True)
class Client:
    """Who registered a session."""

    name: str = ""
    version: str = ""
    instance_id: str = ""
    """Random per training process; "" for clients that do not send one."""
    labels: Mapping[str, str] = field(default_factory=dict)
    trace_context: TraceContext | None = None
    """Of the span it was in when it registered; None: not reported."""
    started_ms: int = 0
    """When its process began the session, by its own clock, since 1970; 0: not reported."""
    is_left_over: bool = False
    """It delivers what a process that is gone has left, rather than messages of one that runs."""

    def updated(self, later: "Client") -> "Client":
        """Return this with the values that `later` reports; those that it leaves out stay."""
        return Client(
            later.name or self.name,
            later.version or self.version,
            later.instance_id,
            later.labels or self.labels,
            later.trace_context or self.trace_context,
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """The model's prediction for one image."""

    predicted_class: int
    confidence: float | None
    """0..1, though clients may send anything; None: not reported."""


@dataclass(frozen=True, slots=True)
class Image:
    """One JPEG that has passed the header check, with its prediction."""

    index: int
    """Its place in the batch as sent, from 0."""
    jpeg: bytes
    predicted_class: int | None = None
    confidence: float | None = None
    """0..1; None: not reported, or out of range."""
    true_class: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One training step."""

    epoch: int
    index: int
    loss: float | None
    """None: not reported, unlike NaN."""
    images: tuple[Image, ...] = ()
    invalid_images: int = 0
    """Images that came with this batch and were refused."""
    predictions: tuple[Prediction, ...] = ()
    ground_truth: tuple[int, ...] = ()
    duration_seconds: float | None = None
    sample_count: int = 0
    """Samples trained on; 0: not reported."""
    sent_ms: int = 0
    """The client's clock, informative only; 0: not reported."""
    images_received: int = 0
    """Images that came with this batch, also where `images` is no longer at hand."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The averages of one epoch, sent at its end; None: not reported."""

    number: int
    loss: float | None
    accuracy: float | None = None
    """0..1, though clients may send anything, as may they of `validation_accuracy`."""
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    learning_rate: float | None = None

    def updated(self, later: "Epoch") -> "Epoch":
        """Return this with what a later report of the same epoch adds or changes."""
        return Epoch(
            later.number,
            self.loss if later.loss is None else later.loss,
            self.accuracy if later.accuracy is None else later.accuracy,
            self.validation_loss if later.validation_loss is None else later.validation_loss,
            self.validation_accuracy
            if later.validation_accuracy is None
            else later.validation_accuracy,
            self.learning_rate if later.learning_rate is None else later.learning_rate,
        )


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment; None: not reported."""

    index: int
    uuid: str = ""
    utilization_ratio: float | None = None
    memory_used_bytes: float | None = None
    memory_total_bytes: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What a training process uses; None: not reported."""

    cpu_utilization_ratio: float | None = None
    """1 is one core's worth; may exceed 1."""
    memory_used_bytes: float | None = None
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True)
class Performance:
    """How fast training runs, measured at one moment; None: not reported."""

    batch_duration_seconds: float | None = None
    epoch_duration_seconds: float | None = None
    estimated_time_remaining_seconds: float | None = None
    frames_per_second: float | None = None
    frames_per_second_average: float | None = None
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class StatusChange:
    """The training loop reports its status."""

    status: Status
    """UNKNOWN: not reported."""
    message: str = ""
    config: Config | None = None


@dataclass(frozen=True, slots=True)
class Scalars:
    """User-defined numbers, by name."""

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
    """The first message of a stream of the session has arrived."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The last stream of the session is gone, or silent for three heartbeats."""


@dataclass(frozen=True, slots=True)
class CommandQueued:
    """A command was submitted for the training loop."""

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
    """The training loop has reported the result of a command."""

    type: CommandType
    result: CommandResult


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over: it reported so, or was silent for too long."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Expired:
    """The session has lingered long enough after its end: everything held in memory for it is dropped."""


@dataclass(frozen=True, slots=True)
class SequenceAdvanced:
    """The session's sequence has risen without a change: over a refused message, or a numbered heartbeat.

    Or its client has begun behind sequences that are neither applied nor to come; 0: there are none.
    """

    first_skipped: int = 0
    last_skipped: int = 0


Message = Batch | Epoch | Performance | StatusChange | Scalars | CommandResult | Heartbeat
"""What a client sends."""

Lifecycle = (
    Registered
    | Connected
    | Disconnected
    | CommandQueued
    | CommandSent
    | CommandAnswered
    | Ended
    | Expired
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

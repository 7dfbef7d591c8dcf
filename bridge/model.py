"""The model of a training session inside the bridge: what clients send, frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from bridge.hardware import Resources
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
    STOPPED = "stopped"
    """By a command."""
    INTERRUPTED = "interrupted"
    """By a person: Ctrl-C."""
    TERMINATED = "terminated"
    """By a signal, as of a scheduler that takes its machine back."""

    @property
    def is_end(self) -> bool:
        """Whether a session with this status is over."""
        return self in ENDS


ENDS = (
    *(Status.COMPLETED, Status.FAILED),
    *(Status.STOPPED, Status.INTERRUPTED, Status.TERMINATED),
)
"""The ways in which a training loop ends by itself; one that is heard of no more is lost."""


class Stage(StrEnum):
    """How far a session's life has come, as the bridge sees it."""

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
    LOST = "lost"
    """Stored first, and gone with the disk of a bridge before the object store had it: counted under both."""


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
class ResumePoint:
    """Where in a run an attempt goes on; None: not reported."""

    epoch: int | None = None
    batch: int | None = None
    step: int | None = None


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
    run_id: str = ""
    """What the processes of one run have in common; "": not reported."""
    rank: int | None = None
    """Which of them it is, from 0; None: not reported."""
    world_size: int = 0
    """How many train together; 0: not reported."""
    run_config: Mapping[str, object] = field(default_factory=dict)
    """What the run was configured with: plain values by name, flat."""
    resume_point: ResumePoint | None = None
    """Where its attempt goes on; None: it begins anew, or has not reported it."""

    def updated(self, later: "Client") -> "Client":
        """Return this with the values that `later` reports; those that it leaves out stay."""
        return Client(
            later.name or self.name,
            later.version or self.version,
            later.instance_id,
            later.labels or self.labels,
            later.trace_context or self.trace_context,
            later.started_ms or self.started_ms,
            later.is_left_over,
            later.run_id or self.run_id,
            self.rank if later.rank is None else later.rank,
            later.world_size or self.world_size,
            later.run_config or self.run_config,
            later.resume_point or self.resume_point,
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
    step: int | None = None
    """The training step that this batch is, counted over the whole run; None: not reported."""
    tokens: int = 0
    """Tokens trained on; 0: not reported."""


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
class Performance:
    """How fast training runs, measured at one moment; None: not reported."""

    batch_duration_seconds: float | None = None
    epoch_duration_seconds: float | None = None
    estimated_time_remaining_seconds: float | None = None
    frames_per_second: float | None = None
    frames_per_second_average: float | None = None
    resources: Resources | None = None
    phase: str = ""
    """What the training loop is busy with; "": not reported, as in a StatusChange."""
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    """As in a StatusChange."""
    batches: int | None = None
    """So far, from a process that sends no batches."""
    step: int | None = None


@dataclass(frozen=True, slots=True)
class StatusChange:
    """The training loop reports its status."""

    status: Status
    """UNKNOWN: not reported."""
    message: str = ""
    config: Config | None = None
    phase: str = ""
    """What the training loop is busy with from now on; "": not reported."""
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds that this client instance has spent in each phase so far, by its own clock; empty: not reported."""


@dataclass(frozen=True, slots=True)
class Scalars:
    """User-defined numbers, by name."""

    epoch: int
    batch: int
    values: Mapping[str, float]
    step: int | None = None
    """Counted over the whole run; None: not reported."""
    split: str = ""
    """Which part of the data they are of, such as train or validation; "": not reported."""


class Level(StrEnum):
    """How bad an occurrence is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something worth remembering that happened in the training loop; the protocol calls it an Event."""

    name: str
    message: str
    level: Level
    details: Mapping[str, str]
    epoch: int
    batch: int
    step: int | None = None


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


SILENT = (Heartbeat, CommandResult)
"""Messages of which the journal may hold nothing but their sequence."""

INCIDENTAL = (Heartbeat, CommandResult, Performance)
"""Messages that do not come from the training loop and may follow its end: they neither resume a session nor are refused."""


Message = (
    Batch | Epoch | Performance | StatusChange | Scalars | Occurrence | CommandResult | Heartbeat
)
"""What a client sends."""


class Update(NamedTuple):
    """One decoded request; a tuple, since there is one for every message and it is built twice as fast."""

    session_id: str
    message: Message
    sequence: int = 0
    """Per session and client instance, from 1; 0: the client does not number."""
    size_bytes: int = 0

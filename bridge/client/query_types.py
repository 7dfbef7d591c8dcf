"""What a bridge answers to queries: frozen records, and how JSON becomes one."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

MEMBER = "member"
"""In the metadata of a field: what the API calls it, where that is something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """A session as the list has it; None: not reported. Times are seconds since 1970."""

    session_id: str
    state: str
    """One word for people: `status`, or "disconnected" or "lost" where nothing has come for long, or "moved" for one that was
    asked to connect again and has not come back: it goes on at another bridge, or has ended.
    """
    status: str
    """As the training loop reports it: "running", "paused", "completed" ..."""
    status_message: str | None = None
    stage: str
    """As the bridge sees it: "live", "ended" or "lost"."""
    connected: bool
    attempt: int
    run_id: str | None = None
    """What the sessions of processes that train together have in common."""
    rank: int | None = None
    """Which of them it is."""
    world_size: int | None = None
    """How many they are."""
    client_name: str | None = None
    model_name: str | None = None
    dataset_name: str | None = None
    registered_at: float
    updated_at: float
    ended_at: float | None = None
    epoch: int | None = None
    batch: int | None = None
    batches: int
    """Received so far."""
    step: int | None = None
    """The training step that it has reached, counted over the whole run; alone where there are no epochs."""
    total_steps: int | None = None
    """In a run without epochs."""
    tokens: int | None = None
    """Trained on so far."""
    total_epochs: int | None = None
    batches_per_epoch: int | None = None
    progress_ratio: float | None = None
    loss: float | None = None
    accuracy_ratio: float | None = None
    frames_per_second: float | None = None
    gpu_utilization_ratio: float | None = None
    estimated_time_remaining_seconds: float | None = None
    trace_id: str
    url: str
    """Of its page."""
    api_url: str
    images_url: str


@dataclass(frozen=True, slots=True)
class ClientDescription:
    """Who registered a session."""

    name: str | None = None
    version: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EpochAverages:
    """One epoch that is complete; accuracies are as they were sent, which may be outside of 0..1."""

    number: int
    loss: float | None = None
    accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    learning_rate: float | None = None


@dataclass(frozen=True, slots=True)
class GpuUsage:
    """One GPU at the last measurement."""

    index: int
    uuid: str | None = None
    utilization_ratio: float | None = None
    memory_used_bytes: float | None = None
    memory_total_bytes: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    """Why it runs slower than it could; empty: it does not."""
    ecc_errors: int | None = None
    """Memory errors that could not be corrected, since the driver was loaded."""
    xid_errors: int | None = None
    """Since its training process began."""
    sm_clock_hertz: float | None = None


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What the training process uses."""

    cpu_utilization_ratio: float | None = None
    """1 is one core; may exceed 1."""
    memory_used_bytes: float | None = None
    gpus: tuple[GpuUsage, ...] = ()


@dataclass(frozen=True, slots=True)
class PerformanceReport:
    """The last measurement of a training loop."""

    batch_duration_seconds: float | None = None
    epoch_duration_seconds: float | None = None
    estimated_time_remaining_seconds: float | None = None
    frames_per_second: float | None = None
    frames_per_second_average: float | None = None
    resources: ProcessUsage | None = None


@dataclass(frozen=True, slots=True)
class LossBin:
    """Consecutive batches of a loss curve; None: none of them had a finite loss."""

    start: float
    """When its first loss arrived, in seconds since 1970."""
    count: int
    """Finite losses in it."""
    mean: float | None
    low: float | None
    high: float | None
    nonfinite: int
    """Losses in it that were NaN or infinite."""
    epoch: int
    """Of the batch with the highest loss, or one that is not finite."""
    batch: int
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAttempt:
    """One attempt of a session: how it went, and where it was. Times are seconds since 1970."""

    attempt: int
    """From 1."""
    state: str
    """As `SessionSummary.state`; "lost" for one that another has followed, and nobody saw end."""
    status_message: str | None = None
    registered_at: float
    ended_at: float | None = None
    """When it ended, or was last heard of; None: it goes on."""
    lost_seconds_before: float | None = None
    """Between the attempt before it and this one; None: nothing was lost, or it is the first."""
    goodput_ratio: float | None = None
    """How much of its time was training, 0..1."""
    batches: int
    first: str | None = None
    """Its first batch, as <epoch>-<batch>."""
    last: str | None = None
    """The furthest that it came to."""
    url: str
    """Of its page."""
    api_url: str


@dataclass(frozen=True, slots=True)
class SessionNotice:
    """A remark on the session's page."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDetails(SessionSummary):
    """Everything that a bridge knows of a session."""

    client: ClientDescription
    batch_size: int | None = None
    class_names: tuple[str, ...] | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    """What `TrainingSession(config={...})` was given, by key; NaN is the string "NaN"."""
    epochs: tuple[EpochAverages, ...] = ()
    performance: PerformanceReport | None = None
    phase: str | None = None
    """What the training loop is busy with: "training", "validation", "checkpoint" ..."""
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long it has been so in each phase."""
    is_partial: bool = False
    """Something that its client sent never came to this bridge: another one has it, or none."""
    scalars: Mapping[str, float] = field(default_factory=dict)
    """The last value by name, of those without a split."""
    scalars_by_split: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The last value by split, such as "validation", and name."""
    notices: tuple[SessionNotice, ...] = ()
    losses: tuple[LossBin, ...] = ()
    goodput_ratio: float | None = None
    """How much of the time of all attempts was training, what was lost between them included."""
    attempts: tuple[SessionAttempt, ...] = ()
    """Oldest first; those whose attempt was not asked for are left out."""
    stale_seconds: float | None = None
    """How old this is, where several bridges share a database, and the one that has the session does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """One stored image; `BridgeClient.image` returns its bytes."""

    position: int
    """In its batch, from 0."""
    url: str
    predicted_class: int | None = None
    predicted_label: str | None = None
    confidence: float | None = None
    true_class: int | None = None
    true_label: str | None = None
    is_wrong: bool
    """The prediction is known to be wrong."""
    in_store: bool = False
    """It is read from the object store, no longer from the bridge's own disk."""
    is_lost: bool = False
    """A bridge alone had it that is gone: it cannot be read."""


@dataclass(frozen=True, slots=True)
class ListedBatch:
    """A batch with stored images."""

    epoch: int
    batch: int
    received_ms: int
    loss: float | None
    url: str
    images: tuple[ListedImage, ...]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """The training loop's answer to a command."""

    applied: bool
    message: str | None
    epoch: int
    batch: int


@dataclass(frozen=True, slots=True)
class SubmittedCommand:
    """A command and how far it has come."""

    command_id: str
    session_id: str
    type: str
    """The name of a CommandType."""
    parameters: Mapping[str, str]
    asked_at: float
    state: str
    """ "queued", "sent", "applied", "refused", or "expired": not answered in the time that it had."""
    result: CommandOutcome | None = None
    note: str | None = None
    """Why there is no result yet, where that is known: the loop does not look for commands, the run was over first ..."""
    sent_by: str | None = None
    """Who sent it, such as "alert TrainingDiverging", "person at 10.0.0.7" (on a page) or "program alice@laptop at
    10.0.0.7"; None: not known.
    """
    expires_at: float | None = None
    """Until when it is of use, in seconds since 1970; None: however long it takes."""
    answered_at: float | None = None
    """When it was answered, in seconds since 1970."""


def from_json(kind: Any, value: Any) -> Any:
    """Return parsed JSON as a value of the type given; raises ValueError where it is not one.

    Members that the type does not have are ignored, so that a newer bridge can be read.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if value is None else from_json(arguments[0], value)
    if origin is tuple:
        return tuple(from_json(arguments[0], part) for part in _checked(list, value))
    if origin is Mapping:
        members = _checked(dict, value).items()
        return {name: from_json(arguments[1], part) for name, part in members}
    if is_dataclass(kind):
        return _record(kind, _checked(dict, value))
    if kind is float:
        return float(value if isinstance(value, str) else _checked((int, float), value))
    return _checked(kind, value)


def _record(kind: Any, members: dict[str, Any]) -> Any:
    hints = _hints(kind)
    optional = {
        one.name
        for one in fields(kind)
        if one.default is not MISSING or one.default_factory is not MISSING
    }
    missing = hints.keys() - members.keys() - optional
    if missing:
        raise ValueError(f"{', '.join(sorted(missing))} missing")
    given = {one.name: one.metadata.get(MEMBER, one.name) for one in fields(kind)}
    return kind(
        **{
            name: from_json(hint, members[given[name]])
            for name, hint in hints.items()
            if given[name] in members
        }
    )


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _checked(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{value!r} is not of type {kind}")
    return value

"""A bridge that records instead of sending, to test a training loop with."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.client.capture.events import LEVELS
from bridge.client.command import Command, command_type_of
from bridge.client.commands import CommandInbox
from bridge.client.delivery.failure import ConnectionFailure
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.identity import Identity
from bridge.client.stats import Stats
from bridge.protocol import CommandType, Status
from bridge.wire import metrics_pb2 as wire

POLL_SECONDS = 0.2

FLUSH_SECONDS = 0.2
"""As with a real bridge: what a loop overwrites too early shows in a test as it would in production."""

MESSAGE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """A call of log_batch, as the bridge would receive it."""

    epoch: int
    batch: int
    loss: float | None
    """In single precision; None: not reported."""
    images: tuple[bytes, ...]
    """JPEG files; empty bytes stand for an image that was left out."""
    predictions: tuple[tuple[int, float], ...]
    """Class and confidence; 0.0: not reported."""
    ground_truth: tuple[int, ...]
    sample_count: int
    step: int | None = None
    """None: not reported. In a run that is counted by steps it is `batch` as well."""
    tokens: int = 0
    """0: not reported."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """A call of log_epoch; None: not reported."""

    epoch: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float | None


@dataclass(frozen=True, slots=True)
class Scalars:
    """A call of log_scalars."""

    epoch: int
    batch: int
    values: Mapping[str, float]
    step: int | None = None
    split: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A call of event or alert."""

    name: str
    message: str
    level: str
    """info, warning or error."""
    details: Mapping[str, str]
    epoch: int
    batch: int
    step: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The loop's answer to a command."""

    command_id: str
    applied: bool
    message: str
    epoch: int
    batch: int


class RecordingBridge:
    """Pass it to a TrainingSession in place of an address; read its lists once the session is closed.

    It accepts the images of every batch, unless `image_batches_per_second` says otherwise.
    """

    def __init__(self, *, image_batches_per_second: float = math.inf) -> None:
        """Record into the same lists for all sessions, one after the other."""
        self.server_config = ServerConfig(
            is_received=True,
            image_batches_per_second=image_batches_per_second,
            flush_seconds=FLUSH_SECONDS,
            message_bytes=MESSAGE_BYTES,
            uses_sequences=True,
        )
        self.identity: Identity | None = None
        """The session that registered last: its session_id, config and labels."""
        self.batches: list[Batch] = []
        self.epochs: list[Epoch] = []
        self.scalars: list[Scalars] = []
        self.events: list[Event] = []
        self.statuses: list[tuple[Status, str]] = []
        self.phases: list[str] = []
        """What the loop was busy with, one after the other, as far as it was sent: short phases are not."""
        self.phase_seconds: dict[str, float] = {}
        """How long each phase of the last session has lasted, as it was sent last."""
        self.answers: list[Answer] = []
        self._commands: CommandInbox | None = None
        self._sent = 0

    @property
    def config(self) -> dict[str, str | int | float | bool | None]:
        """What the session that registered last was configured with: names and plain values as a bridge has them."""
        text = self.identity.config_json if self.identity is not None else ""
        return dict(json.loads(text)) if text else {}

    def connect(
        self, identity: Identity, outbox: Outbox, commands: CommandInbox, stats: Stats
    ) -> "Recorder":
        """Record a session."""
        self.identity = identity
        self._commands = commands
        stats.connected = True
        return Recorder(self, identity.session_id, outbox)

    def send_command(self, type: CommandType, **parameters: object) -> str:
        """Send the session a command; return the id that its answer will carry.

        Raises ValueError for what is not a type of command.
        """
        kind = command_type_of(type)
        if self._commands is None:
            raise RuntimeError("no session has been made with this bridge yet")
        self._sent += 1
        strings = {name: str(value) for name, value in parameters.items()}
        command = Command(kind, strings, f"command-{self._sent}")
        self._commands.receive(command)
        return command.id

    def __getstate__(self) -> dict[str, object]:
        """Return what was recorded: a copy of this bridge has no session to send commands to."""
        return vars(self) | {"_commands": None}

    def record(self, request: wire.MetricsRequest) -> None:
        """Put one message into the list it belongs to."""
        kind = request.WhichOneof("payload")
        if kind == "batch_data":
            self.batches.append(_batch(request.batch_data))
        elif kind == "epoch_data":
            self.epochs.append(_epoch(request.epoch_data))
        elif kind == "scalar_data":
            self.scalars.append(_scalars(request.scalar_data))
        elif kind == "event":
            self.events.append(_event(request.event))
        elif kind == "performance_data":
            self._record_phase(request.performance_data)
        elif kind == "status_update":
            update = request.status_update
            self._record_phase(update)
            if update.HasField("config") or not update.phase:  # the others only report a phase
                self.statuses.append((Status(update.status), update.message))
        elif kind == "command_result":
            result = request.command_result
            self.answers.append(
                Answer(
                    result.command_id,
                    result.applied,
                    result.message,
                    result.epoch,
                    result.batch_idx,
                )
            )

    def _record_phase(self, message: wire.StatusUpdate | wire.PerformanceData) -> None:
        if message.phase and self.phases[-1:] != [message.phase]:
            self.phases.append(message.phase)
        self.phase_seconds = dict(message.phase_seconds) or self.phase_seconds


class Recorder:
    """Records the messages of an outbox into a RecordingBridge."""

    def __init__(self, bridge: RecordingBridge, session_id: str, outbox: Outbox) -> None:
        """Record one session."""
        self.server_config = bridge.server_config
        self.session_id = session_id
        self.disconnected_since: float | None = None
        self.attempt: int | None = 1
        self.page_url: str | None = None
        self.failure: ConnectionFailure | None = None
        self._bridge = bridge
        self._outbox = outbox

    def identify(self, identity: Identity) -> None:
        """Record a session of this name."""
        self._bridge.identity, self.session_id = identity, identity.session_id

    def run(self) -> None:
        """Record until the session is over."""
        stream = self._outbox.open_stream()
        while True:
            messages = self._outbox.take_frame(
                stream,
                window_bytes=self.server_config.window_bytes,
                message_bytes=self.server_config.message_bytes,
                deadline=time.monotonic() + POLL_SECONDS,
            )
            if messages is None:
                return
            for message in messages:
                self._bridge.record(wire.MetricsRequest.FromString(message.body))
                self._outbox.acknowledge(message.sequence)

    def skip_backoff(self) -> None:
        """Do nothing: there is no backoff."""

    def stop(self) -> None:
        """Stop at once, whatever is left in the outbox."""
        self._outbox.close_stream()


def _batch(data: wire.BatchData) -> Batch:
    return Batch(
        data.epoch,
        data.batch_idx,
        None if data.loss_missing else data.batch_loss,
        tuple(image.image_bytes for image in data.images),
        tuple(
            (prediction.predicted_class, prediction.confidence) for prediction in data.predictions
        ),
        tuple(data.ground_truth),
        data.sample_count,
        data.global_step if data.HasField("global_step") else None,
        data.token_count,
    )


def _scalars(data: wire.ScalarData) -> Scalars:
    return Scalars(
        data.epoch,
        data.batch_idx,
        dict(data.values),
        data.global_step if data.HasField("global_step") else None,
        data.split,
    )


def _event(data: wire.Event) -> Event:
    return Event(
        data.name,
        data.message,
        LEVELS[data.level],
        dict(data.details),
        data.epoch,
        data.batch_idx,
        data.global_step if data.HasField("global_step") else None,
    )


def _epoch(data: wire.EpochData) -> Epoch:
    return Epoch(
        data.epoch,
        None if data.loss_missing else data.average_loss,
        data.average_accuracy if data.accuracy_reported or data.average_accuracy else None,
        data.validation_loss if data.HasField("validation_loss") else None,
        data.validation_accuracy if data.HasField("validation_accuracy") else None,
        data.learning_rate if data.HasField("learning_rate") else None,
    )

"""What each call of the training loop has captured."""

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from bridge.client.capture.device import Transfer
from bridge.client.capture.images import ImageCapture
from bridge.protocol import Status


class BatchCall(NamedTuple):
    """One call of log_batch."""

    at: float
    """Monotonic, in seconds."""
    loss: Any
    epoch: Any
    """None, as `batch` is: counted by steps."""
    batch: Any
    step: Any = None
    tokens: Any = None
    sample_count: Any = None
    """As given; None: it was not."""
    counted: int = 0
    """How many samples there were images, classes or predictions of."""
    predictions: Any = None
    ground_truth: Any = None
    images: ImageCapture | None = None
    transfer: Transfer | None = None
    """Copies that are still on their way from a device."""
    size_bytes: int = 0
    """Of the copies of predictions and classes."""


class EpochCall(NamedTuple):
    """One call of log_epoch."""

    at: float
    epoch: Any
    loss: Any
    accuracy: Any
    validation_loss: Any
    validation_accuracy: Any
    learning_rate: Any
    transfer: Transfer | None = None


class ScalarsCall(NamedTuple):
    """One call of log_scalars."""

    at: float
    values: Mapping[Any, Any]
    epoch: Any
    batch: Any
    step: Any = None
    split: Any = ""
    transfer: Transfer | None = None


class EventCall(NamedTuple):
    """One call of event or alert."""

    at: float
    name: str
    message: str
    level: int
    """The protocol's number."""
    details: Mapping[str, Any]
    """Texts, and numbers that arrive later."""
    epoch: Any
    """Of the last batch, as `batch` and `step` are."""
    batch: Any
    step: Any
    transfer: Transfer | None = None


class StatusCall(NamedTuple):
    """The run says what it is doing."""

    at: float
    status: Status
    message: str
    ending: str = ""
    """How the run has ended, where the status is not all of it: stopped, interrupted, terminated."""
    transfer: None = None


class RestateCall(NamedTuple):
    """The bridge lacks what an earlier one has received: status, configuration and phase are sent again."""

    at: float
    transfer: None = None


class PositionCall(NamedTuple):
    """The bridge lacks where the loop is, which is sent again."""

    at: float
    transfer: None = None


class AnswerCall(NamedTuple):
    """What became of a command."""

    at: float
    command_id: str
    applied: bool
    message: str
    epoch: Any
    batch: Any
    transfer: None = None


class PlanCall(NamedTuple):
    """How long the run will be, where it was made without saying so; 0: not known."""

    at: float
    epochs: int
    batches_per_epoch: int
    transfer: None = None


class ResumedCall(NamedTuple):
    """Training goes on after a pause."""

    at: float
    transfer: None = None


Numbers: TypeAlias = (
    tuple[float, float, int, int]
    | tuple[float, float, int | None, int | None, int | None, int | None]
)
"""The first fields of a BatchCall that has no others: the loop need not make what the SDK's thread can."""


class FlushCall(NamedTuple):
    """Somebody waits until everything before it has been handed on."""

    at: float
    done: threading.Event
    transfer: None = None


Call = (
    BatchCall
    | EpochCall
    | ScalarsCall
    | EventCall
    | StatusCall
    | AnswerCall
    | PlanCall
    | ResumedCall
    | RestateCall
    | PositionCall
    | FlushCall
)

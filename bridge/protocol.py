"""What the protocol defines for both ends, the SDK and the bridge; the standard library alone."""

import re
from enum import IntEnum

SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""The id of a session: URL-safe, since Grafana percent-decodes links, and one path segment in every store."""

PHASE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
"""The name of what a training loop is busy with: the value of a label."""

PHASES_LIMIT = 16
"""Phases of a session: a bridge keeps no more."""

LOST_PHASE = "lost"
"""The phase of the time between two attempts, which only the bridge sees."""

STALLED_PHASE = "stalled"
"""The phase of the time that steps should have taken and did not come: no loop is ever in it by its own account."""

STEP_PHASES = ("training", "data")
"""Phases in which steps come; without one for too long, their time counts as stalled."""

STALL_SECONDS = 300.0
"""How long a step may take, at least, until the time beyond it counts as stalled..."""

STALL_BATCHES = 20
"""...or so many times as long as a batch usually takes, if that is longer."""

MEBIBYTE = 1 << 20
"""The protocol's MB."""

FRAME_BYTES = MEBIBYTE
"""The SDK closes a frame before it exceeds this."""

TOKEN_HEADER = "trainbridge-stream-token"  # noqa: S105 -- the name of the metadata, no secret
"""Metadata of a stream: `SessionResponse.stream_token` of the registration it belongs to."""

STARTED_HEADER = "trainbridge-started-ms"
"""Metadata of a registration: when the process began this session, by its own clock, since 1970."""

LEFT_OVER_HEADER = "trainbridge-left-over"
"""Metadata of a registration: 1 with what a process has left in its spool, which is not a new attempt."""

SENT_BY_ANOTHER = "this session is being sent by another training process"
"""Why a bridge refuses a registration: the name belongs to a process that is alive."""


def stall_limit(batch_seconds: float) -> float:
    """Return for how many seconds a loop may make no step; `batch_seconds` is what a batch usually takes, or 0."""
    return max(STALL_SECONDS, STALL_BATCHES * batch_seconds)


CANARY_CLIENT = "trainbridge-canary"
"""The client_name of `trainbridge canary`, which trains nothing: boards and alerts about trainings leave it out."""


class CommandType(IntEnum):
    """Commands that a bridge sends to a training loop; the numbers are the protocol's."""

    PAUSE_TRAINING = 1
    RESUME_TRAINING = 2
    STOP_TRAINING = 3
    ADJUST_BATCH_SIZE = 4
    """Parameters: batch_size."""
    CHANGE_LEARNING_RATE = 5
    """Parameters: learning_rate."""
    SAVE_CHECKPOINT = 16


COMMAND_WORDS = {
    "pause": CommandType.PAUSE_TRAINING,
    "resume": CommandType.RESUME_TRAINING,
    "stop": CommandType.STOP_TRAINING,
    "adjust-batch-size": CommandType.ADJUST_BATCH_SIZE,
    "change-learning-rate": CommandType.CHANGE_LEARNING_RATE,
    "save-checkpoint": CommandType.SAVE_CHECKPOINT,
}
"""What people type for the types of commands."""

NOT_FOR_ALERTS = (CommandType.ADJUST_BATCH_SIZE,)
"""What alerts may never send: it would need bounds that nobody can give for all trainings of a bridge."""


ALERT_COMMANDS = {kind: word for word, kind in COMMAND_WORDS.items() if kind not in NOT_FOR_ALERTS}
"""The words for what they may."""


def command_type_of(text: str) -> CommandType | None:
    """Return the type that a word or a name of the protocol means, in any case; None: there is none."""
    name = text.strip().upper().replace("-", "_")
    by_name = {known.name: known for known in CommandType}
    return COMMAND_WORDS.get(text.strip().lower()) or by_name.get(name)


class Status(IntEnum):
    """The status that a training run reports; the numbers are the protocol's."""

    INITIALIZING = 1
    RUNNING = 2
    PAUSED = 3
    COMPLETED = 4
    FAILED = 5

    @property
    def is_end(self) -> bool:
        """Return whether a run of this status is over."""
        return self in (Status.COMPLETED, Status.FAILED)


def status_of(value: object) -> Status:
    """Return a status given as one, or as its number; raises ValueError for anything else."""
    if type(value) is int or isinstance(value, Status):
        return Status(value)
    shown = repr(value)[:64] if type(value) in (str, float, bool) else f"a {type(value).__name__}"
    raise ValueError(f"{shown} is not a Status")

"""What a training loop and a bridge both speak of, in the standard library alone: types of commands, and statuses."""

from enum import IntEnum


class CommandType(IntEnum):
    """Orders a bridge may give; the numbers are the protocol's."""

    PAUSE_TRAINING = 1
    RESUME_TRAINING = 2
    STOP_TRAINING = 3
    ADJUST_BATCH_SIZE = 4
    """Parameters: batch_size."""
    CHANGE_LEARNING_RATE = 5
    """Parameters: learning_rate."""
    SAVE_CHECKPOINT = 16


class Status(IntEnum):
    """What a training run says it is doing; the numbers are the protocol's."""

    INITIALIZING = 1
    RUNNING = 2
    PAUSED = 3
    COMPLETED = 4
    FAILED = 5

    @property
    def is_end(self) -> bool:
        """Tell whether a run that says this is over."""
        return self in (Status.COMPLETED, Status.FAILED)


def status_of(value: object) -> Status:
    """Return a status given as one, or as its number; raises ValueError for anything else."""
    if type(value) is int or isinstance(value, Status):
        return Status(value)
    shown = repr(value)[:64] if type(value) in (str, float, bool) else f"a {type(value).__name__}"
    raise ValueError(f"{shown} is not a Status")

"""What is worth showing on a session's page, in words."""

from dataclasses import dataclass

from bridge.lifecycle import CommandAnswered
from bridge.model import Status, StatusChange

NOTICES_KEPT = 50


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened."""

    at: float
    text: str


def status_text(change: StatusChange) -> str:
    """Return what a status says; "": nothing."""
    said = "" if change.status is Status.UNKNOWN else str(change.status)
    return ": ".join(filter(None, (said, change.message)))


def answer_text(answered: CommandAnswered) -> str:
    """Return what has become of a command."""
    result = answered.result
    outcome = "applied" if result.applied else "refused"
    where = f"at epoch {result.epoch}, batch {result.batch}"
    text = f": {result.message}" if result.message else ""
    return f"command {answered.type.name} {outcome} {where}{text}"

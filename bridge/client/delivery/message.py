"""One numbered message on its way to the bridge."""

from dataclasses import dataclass
from enum import IntEnum

from bridge.wire import metrics_pb2 as wire

OVERHEAD_BYTES = 200
"""What a message takes in memory besides its body, roughly."""


class Priority(IntEnum):
    """What delivery has to know of a message: whether it may be dropped, and what it counts as.

    The spool's files hold these numbers.
    """

    BATCH = 0
    OTHER = 1
    """Throughput, resource usage and the user's own scalars."""
    CRITICAL = 2
    """Epochs, statuses and answers to commands: never dropped, unless superseded."""
    FINAL = 3
    """The status that ends the session: never dropped either."""

    @property
    def may_be_dropped(self) -> bool:
        """Whether the run stays readable without it."""
        return self < Priority.CRITICAL


@dataclass(slots=True, eq=False)
class OutgoingMessage:
    """One numbered message."""

    sequence: int
    priority: Priority
    body: bytes
    """An encoded MetricsRequest without its session_id."""
    batch: int = -1
    images: int = 0
    step: int | None = None
    tokens: int = 0
    subject: tuple[str, int] | None = None
    """Of an epoch or a status: its kind, and the epoch or the status that it reports."""
    superseded: bool = False
    """Others of the same subject stand before and behind it, so that it may make room."""
    refused: bool = False
    """The bridge found it invalid; it is released once a later message is acknowledged."""

    @property
    def size(self) -> int:
        """How many bytes of memory it takes."""
        return OVERHEAD_BYTES + len(self.body)

    def strip(self) -> None:
        """Remove the images."""
        request = wire.MetricsRequest.FromString(self.body)
        del request.batch_data.images[:]
        self.body, self.images = request.SerializeToString(), 0


def placeholder(sequence: int) -> OutgoingMessage:
    """Return the empty message that takes the place of a dropped one: it changes nothing at the bridge."""
    request = wire.MetricsRequest(sequence=sequence, heartbeat=wire.Heartbeat())
    return OutgoingMessage(sequence, Priority.OTHER, request.SerializeToString())

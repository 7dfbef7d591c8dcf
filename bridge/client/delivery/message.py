"""One numbered message on its way to the bridge."""

from dataclasses import dataclass
from enum import IntEnum

from bridge.wire import metrics_pb2 as wire

OVERHEAD_BYTES = 200
"""What a message takes up in memory besides its body, roughly."""


class Priority(IntEnum):
    """What a message is, as far as its delivery depends on it; the spool's files hold these numbers."""

    BATCH = 0
    OTHER = 1
    """Speed, usage and the user's own scalars."""
    CRITICAL = 2
    """Epochs, statuses and answers to orders: never dropped."""
    FINAL = 3
    """The status that ends the session; as precious."""

    @property
    def may_be_dropped(self) -> bool:
        """Tell whether the run stays readable without it."""
        return self < Priority.CRITICAL


@dataclass(slots=True, eq=False)
class OutgoingMessage:
    """One numbered message."""

    sequence: int
    priority: Priority
    body: bytes
    """A MetricsRequest without its session_id, encoded."""
    batch: int = -1
    images: int = 0
    refused: bool = False
    """The bridge found it invalid; it waits only to be acknowledged with what came after it."""

    @property
    def size(self) -> int:
        """How much room it takes."""
        return OVERHEAD_BYTES + len(self.body)

    def strip(self) -> None:
        """Leave the images out."""
        request = wire.MetricsRequest.FromString(self.body)
        del request.batch_data.images[:]
        self.body, self.images = request.SerializeToString(), 0


def placeholder(sequence: int) -> OutgoingMessage:
    """Return what goes out under the sequence of a message that was dropped: it changes nothing anywhere."""
    request = wire.MetricsRequest(sequence=sequence, heartbeat=wire.Heartbeat())
    return OutgoingMessage(sequence, Priority.OTHER, request.SerializeToString())

"""The acknowledgments of one stream: what waits for its commit, and the image counts that go with it."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.receiver import responses
from bridge.session import Session
from bridge.wire import metrics_pb2 as wire

CountImages = Callable[[str], tuple[int, int]]
"""Returns how many images of a session were kept and not kept so far."""


@dataclass(slots=True)
class PendingAck:
    """An acknowledgment that waits for its commit."""

    ticket: int
    sequence: int
    """0: of a batch without a sequence."""
    batch: int


class Acks:
    """Builds the Acks of one stream, in the order of their commits.

    With sequences there is one for each commit, cumulative; without, one for each batch.
    """

    def __init__(self, count_images: CountImages) -> None:
        """Start with nothing to acknowledge."""
        self._count_images = count_images
        self._pending: deque[PendingAck] = deque()
        self._committed_batch = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for its commit."""
        return not self._pending

    def begin(self, session: Session) -> None:
        """Count the images of a session from now on, unless an earlier stream has begun to."""
        if session.images_acknowledged is None:
            session.images_acknowledged = self._count_images(session.id)

    def expect_sequence(self, ticket: int, session: Session) -> None:
        """Acknowledge all that the session has accepted by now, once `ticket` is committed."""
        last = self._pending[-1] if self._pending else None
        if last is None or last.ticket != ticket or not last.sequence:
            self._pending.append(PendingAck(ticket, session.accepted, session.batch))
            return
        last.sequence = session.accepted
        last.batch = session.batch

    def expect_batch(self, ticket: int, batch: int) -> None:
        """Acknowledge one batch without a sequence, once `ticket` is committed."""
        self._pending.append(PendingAck(ticket, 0, batch))

    def committed(self, ticket: int, session: Session | None) -> Iterator[wire.MetricsResponse]:
        """Yield the Acks of everything up to a ticket; `session` is None where the stream has lost it."""
        pending = self._pending
        while pending and pending[0].ticket <= ticket:
            first = pending.popleft()
            self._committed_batch = first.batch
            yield responses.acknowledgment(first.batch, first.sequence, *self._images(session))

    def discard(self) -> None:
        """Acknowledge nothing of what waits: another bridge has the session."""
        self._pending.clear()

    def current(self, session: Session) -> wire.MetricsResponse:
        """Return an Ack of what has been committed by now, as a heartbeat is answered."""
        batch, sequence = self._committed_batch, session.committed
        return responses.acknowledgment(batch, sequence, *self._images(session))

    def last(self, session: Session) -> wire.MetricsResponse | None:
        """Return an Ack of the images that were decided on since the last one, if there are any."""
        kept, dropped = self._images(session)
        if not (kept or dropped):
            return None
        return responses.acknowledgment(self._committed_batch, session.committed, kept, dropped)

    def _images(self, session: Session | None) -> tuple[int, int]:
        """Return the images kept and not kept since the session's last Ack, on whichever stream that was."""
        if session is None:
            return 0, 0
        kept, dropped = self._count_images(session.id)
        before, session.images_acknowledged = session.images_acknowledged, (kept, dropped)
        if before is None:
            return 0, 0
        return max(0, kept - before[0]), max(0, dropped - before[1])

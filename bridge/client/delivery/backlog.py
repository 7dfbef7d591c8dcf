"""The unacknowledged messages in order: those in memory, and how many more are in the spool."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.stats import Stats
from bridge.protocol import FRAME_BYTES

ENVELOPE_BYTES = 72
"""The most that a frame adds to each message: the session id (63 bytes), two tags and two lengths."""

PLACEHOLDER_BYTES = ENVELOPE_BYTES + 16
"""The most that the placeholder of a dropped message takes in a frame."""


class Backlog:
    """Everything unacknowledged, oldest first: in flight, unsent, spilled to disk, and the tail behind that.

    Spilled messages are only counted here. The tail is empty while nothing is spilled: it holds the
    messages that are newer than the spilled ones and still wait to be written. Not thread-safe; the
    outbox locks.
    """

    def __init__(self, limit_bytes: int, stats: Stats) -> None:
        """Start empty, to hold `limit_bytes` in memory."""
        self.limit_bytes = limit_bytes
        self.in_flight: deque[OutgoingMessage] = deque()
        self.unsent: deque[OutgoingMessage] = deque()
        self.spilled = 0
        self.unspilled_tail: deque[OutgoingMessage] = deque()
        self.memory_bytes = 0
        self.in_flight_bytes = 0
        self.loaded_through = 0
        """Everything up to this sequence has been in memory ahead of what is spilled."""
        self.acked_through = 0
        """The highest sequence the bridge has committed."""
        self.with_images: deque[OutgoingMessage] = deque()
        self.superseded_bytes = 0
        """How much has been marked as superseded since that was dropped last; some may be delivered."""
        self.stats = stats
        self._refused_count = 0
        self._latest: dict[str, tuple[OutgoingMessage, int]] = {}
        """By kind, the newest message with a subject, and how many of that subject came in a row."""

    def __len__(self) -> int:
        """Count what still has to be delivered."""
        in_memory = len(self.in_flight) + len(self.unsent) + len(self.unspilled_tail)
        return in_memory + self.spilled - self._refused_count

    @property
    def unsent_count(self) -> int:
        """How many messages have not been sent on this stream, in memory and on disk."""
        return len(self.unsent) + self.spilled + len(self.unspilled_tail)

    @property
    def is_over_limit(self) -> bool:
        """Whether memory exceeds its limit."""
        return self.memory_bytes > self.limit_bytes

    def add(self, message: OutgoingMessage) -> None:
        """Append a new message behind all others."""
        self._append(message, self.unspilled_tail if self.spilled else self.unsent)
        self._mark_superseded(message)
        self.stats.messages += 1
        self.stats.batches += message.priority is Priority.BATCH
        self.stats.tokens += message.tokens
        if message.step is not None:
            self.stats.step = message.step
        self.stats.images_sent += message.images

    def fits(self, window_bytes: int) -> bool:
        """Return whether the window has room for the next message; an empty one has room for any."""
        return not self.in_flight or self.in_flight_bytes + self.unsent[0].size <= window_bytes

    def take_frame(
        self, *, window_bytes: int, message_bytes: int, max_messages: int, fill_gaps: bool = False
    ) -> list[OutgoingMessage]:
        """Move the next messages in flight, as many as fit in the window and in one frame.

        With `fill_gaps`, the frame must also have room for placeholders of the sequences missing in between.
        """
        frame: list[OutgoingMessage] = []
        length = 0
        while self.unsent and len(frame) < max_messages and self.fits(window_bytes):
            message = self.unsent[0]
            if len(message.body) > message_bytes:
                self._shrink_or_drop(message)
                continue
            length += len(message.body) + ENVELOPE_BYTES
            if frame and fill_gaps:
                length += (message.sequence - frame[-1].sequence - 1) * PLACEHOLDER_BYTES
                if message.sequence - frame[0].sequence >= max_messages:
                    break
            if frame and length > min(FRAME_BYTES, message_bytes):
                break
            self.unsent.popleft()
            self.in_flight.append(message)
            self.in_flight_bytes += message.size
            frame.append(message)
        return frame

    def rewind(self, sequence: int) -> None:
        """Return what is in flight to the unsent, from this sequence on."""
        while self.in_flight and self.in_flight[-1].sequence >= sequence:
            message = self.in_flight.pop()
            self.in_flight_bytes -= message.size
            self.unsent.appendleft(message)

    def acknowledge(self, sequence: int) -> None:
        """Release everything in memory up to this sequence; what is spilled is skipped when it is read."""
        self.acked_through = max(self.acked_through, sequence)
        while self.in_flight and self.in_flight[0].sequence <= sequence:
            self.release_oldest()
        for queue in (self.unsent, self.unspilled_tail):
            while queue and queue[0].sequence <= sequence:
                self._release(queue.popleft())

    def acknowledge_batch(self, batch: int) -> None:
        """Release the oldest batch in flight with this index, and everything sent before it."""
        places = (place for place, message in enumerate(self.in_flight) if message.batch == batch)
        for _ in range(next(places, -1) + 1):
            self.release_oldest()

    def release_oldest(self) -> None:
        """Release the oldest message in flight as acknowledged."""
        message = self.in_flight.popleft()
        self.in_flight_bytes -= message.size
        self._release(message)

    def mark_refused(self, sequence: int) -> None:
        """Record that the bridge rejected this message for good."""
        for message in self.in_flight:
            if message.sequence == sequence and not message.refused:
                message.refused = True
                self._refused_count += 1
                self.stats.refused += 1

    def shed_images(self, message: OutgoingMessage) -> None:
        """Strip the images from a message in memory."""
        before = message.size
        self.stats.images_shed += message.images
        self.stats.images_sent -= message.images
        message.strip()
        self.memory_bytes += message.size - before
        if self.in_flight and message.sequence <= self.in_flight[-1].sequence:
            self.in_flight_bytes += message.size - before

    def drop_from(self, queue: deque[OutgoingMessage], dropped: Sequence[OutgoingMessage]) -> None:
        """Drop some messages of one of the queues, undelivered."""
        dropped_ids = set(map(id, dropped))
        kept = [message for message in queue if id(message) not in dropped_ids]
        queue.clear()
        queue.extend(kept)
        for message in dropped:
            self.in_flight_bytes -= message.size if queue is self.in_flight else 0
            self._drop(message)

    def copy_unwritten(self, written_through: int, limit_bytes: int) -> list[OutgoingMessage]:
        """Return copies of the oldest messages in memory that the spool has not written yet.

        Copies, since the spool writes them without the lock, and images may be shed meanwhile.
        """
        unwritten: list[OutgoingMessage] = []
        for queue in (self.unspilled_tail, self.unsent, self.in_flight):
            for message in reversed(queue):
                if message.sequence <= written_through:
                    break
                unwritten.append(message)
        copies: list[OutgoingMessage] = []
        while unwritten and limit_bytes > 0:
            copies.append(replace(unwritten.pop()))
            limit_bytes -= copies[-1].size
        return copies

    def count_after(self, sequence: int) -> int:
        """Count the messages in memory behind a sequence."""
        queues = (self.in_flight, self.unsent, self.unspilled_tail)
        return sum(message.sequence > sequence for queue in queues for message in queue)

    def spill(self, written_through: int) -> None:
        """Evict from memory what the spool has written, where memory is full or order demands it.

        A message behind a spilled one can only be sent after it, so once anything is spilled, the tail
        follows it to disk as soon as it is written, even if memory would have room again: memory in front
        of the disk is for what is sent next, and `refill` reads it from there in order.
        """
        if not self.spilled and self.is_over_limit:
            self._spill_unsent(written_through)
        while self.spilled and self.unspilled_tail:
            if self.unspilled_tail[0].sequence > written_through:
                break
            self._spill(self.unspilled_tail.popleft())

    def refill(self, messages: Iterable[OutgoingMessage]) -> None:
        """Take back the next messages from the spool; none means that it has lost the rest."""
        is_empty = True
        for message in messages:
            is_empty = False
            self.spilled -= 1
            self.loaded_through = message.sequence
            if message.sequence > self.acked_through:
                self._append(message, self.unsent)
            else:  # acknowledged while it was on disk: a bridge may have had it all along
                self._count_acknowledged(message)
        if is_empty:
            self.stats.dropped += self.spilled
            self.spilled = 0
        if not self.unspilled_tail:
            return
        # What was read back is older than the tail, and sheds its images first.
        self.with_images = deque(sorted(self.with_images, key=_sequence))
        if not self.spilled:  # nothing lies between memory and tail any more
            self.unsent += self.unspilled_tail
            self.unspilled_tail.clear()
            self.loaded_through = self.unsent[-1].sequence

    def apply_spool_shedding(self, stripped: Mapping[int, int], dropped: Mapping[int, int]) -> None:
        """Repeat what a full spool did: strip some messages (sequence: images), drop others.

        What is still in memory ahead of the spilled is changed here; what is not, is only counted.
        """
        for queue in (self.in_flight, self.unsent):
            for message in queue:
                if message.images and message.sequence in stripped:
                    self.shed_images(message)
            if dropped:
                self.drop_from(queue, [message for message in queue if message.sequence in dropped])
        for sequence, images in [*stripped.items(), *dropped.items()] if self.spilled else ():
            if sequence > self.loaded_through:
                self.stats.images_shed += images
                self.stats.images_sent -= images
                self.stats.dropped += sequence in dropped
                self.spilled -= sequence in dropped

    def update_stats(self) -> None:
        """Publish how much is unacknowledged, and forget those at the front that have no images any more."""
        self.stats.unacknowledged = len(self)
        while self.with_images and not self.with_images[0].images:
            self.with_images.popleft()

    def _append(self, message: OutgoingMessage, queue: deque[OutgoingMessage]) -> None:
        queue.append(message)
        self.memory_bytes += message.size
        if message.images:
            self.with_images.append(message)
        if queue is self.unsent:
            self.loaded_through = message.sequence

    def _mark_superseded(self, message: OutgoingMessage) -> None:
        """Mark what stood in a row of one subject between its first, which says when it began, and this one."""
        if message.subject is None:
            return
        kind = message.subject[0]
        before, in_a_row = self._latest.get(kind, (message, 0))
        if before.subject != message.subject:
            in_a_row = 0
        elif in_a_row > 1:
            before.superseded = True
            self.superseded_bytes += before.size
        self._latest[kind] = message, in_a_row + 1

    def _shrink_or_drop(self, message: OutgoingMessage) -> None:
        """Strip a message that exceeds the bridge's limit, or drop it where it has no images.

        Sent as it is, it would break this stream, and the next one, and so on.
        """
        if message.images:
            self.shed_images(message)
            return
        self.unsent.popleft()
        self._drop(message)

    def _spill_unsent(self, written_through: int) -> None:
        # Only what is on disk may leave memory. What is not steps aside into the tail, from the newest on,
        # so that the newest written message is the last of the unsent.
        while self.unsent and self.unsent[-1].sequence > written_through:
            self.unspilled_tail.appendleft(self.unsent.pop())
        # The newest leave first: the oldest are sent next and would have to be read back at once. A quarter
        # of the limit is freed, so that the next message does not make this start over.
        while self.unsent and self.memory_bytes > self.limit_bytes * 3 // 4:
            message = self.unsent.pop()
            self.loaded_through = message.sequence - 1  # reading back begins with this one
            self._spill(message)
        # Memory may be full of what is in flight or not written yet. Then nothing was spilled, and there
        # is nothing that a tail could be behind.
        if not self.spilled:
            self.unsent += self.unspilled_tail
            self.unspilled_tail.clear()

    def _spill(self, message: OutgoingMessage) -> None:
        self.memory_bytes -= message.size
        self.spilled += 1
        self._refused_count -= message.refused  # the bridge will refuse it again
        self.stats.refused -= message.refused
        message.images = 0  # `with_images` may still hold it
        message.body = b""

    def _drop(self, message: OutgoingMessage) -> None:
        self.memory_bytes -= message.size
        self._refused_count -= message.refused
        self.stats.dropped += not message.refused
        self.stats.images_sent -= message.images
        self.stats.images_shed += message.images
        message.images = 0

    def _release(self, message: OutgoingMessage) -> None:
        self.memory_bytes -= message.size
        self._count_acknowledged(message)
        message.images = 0  # `with_images` may still hold it
        message.body = b""

    def _count_acknowledged(self, message: OutgoingMessage) -> None:
        self.acked_through = max(self.acked_through, message.sequence)
        if message.refused:
            self._refused_count -= 1
            return
        self.stats.acknowledged += 1
        self.stats.batches_acknowledged += message.priority is Priority.BATCH


def _sequence(message: OutgoingMessage) -> int:
    return message.sequence

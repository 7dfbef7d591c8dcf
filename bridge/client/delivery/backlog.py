"""The messages that are unacknowledged, in order: in memory, and how many more lie in the spool."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.stats import Stats

ENVELOPE_BYTES = 72
"""What a frame adds to each message at most: the session id (63 bytes), two tags and two lengths."""

PLACEHOLDER_BYTES = ENVELOPE_BYTES + 16
"""What goes out in the place of a message that was dropped takes so much at most."""

FRAME_BYTES = 1 << 20
"""A frame that is longer than this is closed."""


class Backlog:
    """Everything unacknowledged, oldest first: sent, waiting, spilled to disk, and the tail behind that.

    What is spilled is only counted here. The tail is empty while nothing is spilled. Not safe for
    threads: the outbox sees to that.
    """

    def __init__(self, limit_bytes: int, stats: Stats) -> None:
        """Start empty, to hold `limit_bytes` in memory."""
        self.limit_bytes = limit_bytes
        self.sent: deque[OutgoingMessage] = deque()
        self.waiting: deque[OutgoingMessage] = deque()
        self.spilled = 0
        self.tail: deque[OutgoingMessage] = deque()
        self.bytes = 0
        """Of all that is in memory."""
        self.sent_bytes = 0
        self.loaded = 0
        """Everything up to this sequence has been in memory ahead of what is spilled."""
        self.acknowledged = 0
        """The highest sequence the bridge has committed."""
        self.with_images: deque[OutgoingMessage] = deque()
        self.stats = stats
        self._refused = 0

    def __len__(self) -> int:
        """Count what still has to be delivered."""
        held = len(self.sent) + len(self.waiting) + len(self.tail)
        return held + self.spilled - self._refused

    @property
    def unsent(self) -> int:
        """Count what has not been sent on this stream."""
        return len(self.waiting) + self.spilled + len(self.tail)

    @property
    def is_over(self) -> bool:
        """Tell whether memory is over its limit."""
        return self.bytes > self.limit_bytes

    def add(self, message: OutgoingMessage) -> None:
        """Take a new message in, behind all others."""
        self._hold(message, self.tail if self.spilled else self.waiting)
        self.stats.messages += 1
        self.stats.batches += message.priority is Priority.BATCH
        self.stats.images_sent += message.images

    def fits(self, window_bytes: int) -> bool:
        """Tell whether the next message may be on its way together with what is."""
        return not self.sent or self.sent_bytes + self.waiting[0].size <= window_bytes

    def frame(
        self, *, window_bytes: int, message_bytes: int, most: int, without_gaps: bool = False
    ) -> list[OutgoingMessage]:
        """Send the next messages, as many as fit in the window and in one frame.

        With `without_gaps`, there must be room in it for sequences that are missing between them.
        """
        frame: list[OutgoingMessage] = []
        length = 0
        while self.waiting and len(frame) < most and self.fits(window_bytes):
            message = self.waiting[0]
            if len(message.body) > message_bytes:
                self._cut(message)
                continue
            length += len(message.body) + ENVELOPE_BYTES
            if frame and without_gaps:
                length += (message.sequence - frame[-1].sequence - 1) * PLACEHOLDER_BYTES
                if message.sequence - frame[0].sequence >= most:
                    break
            if frame and length > min(FRAME_BYTES, message_bytes):
                break
            self.waiting.popleft()
            self.sent.append(message)
            self.sent_bytes += message.size
            frame.append(message)
        return frame

    def rewind(self, sequence: int) -> None:
        """Put what was sent back among what waits, from this sequence on."""
        while self.sent and self.sent[-1].sequence >= sequence:
            message = self.sent.pop()
            self.sent_bytes -= message.size
            self.waiting.appendleft(message)

    def acknowledge(self, sequence: int) -> None:
        """Let go of everything in memory up to this sequence, and of the rest when it is read."""
        self.acknowledged = max(self.acknowledged, sequence)
        while self.sent and self.sent[0].sequence <= sequence:
            self.forget_sent()
        for queue in (self.waiting, self.tail):
            while queue and queue[0].sequence <= sequence:
                self._forget(queue.popleft())

    def acknowledge_batch(self, batch: int) -> None:
        """Let go of the oldest batch that was sent under this index, and of everything sent before it."""
        places = (place for place, message in enumerate(self.sent) if message.batch == batch)
        for _ in range(next(places, -1) + 1):
            self.forget_sent()

    def forget_sent(self) -> None:
        """Let go of the oldest message on its way."""
        message = self.sent.popleft()
        self.sent_bytes -= message.size
        self._forget(message)

    def refuse(self, sequence: int) -> None:
        """Note that the bridge will not take this message."""
        for message in self.sent:
            if message.sequence == sequence and not message.refused:
                message.refused = True
                self._refused += 1
                self.stats.refused += 1

    def shed(self, message: OutgoingMessage) -> None:
        """Leave out the images of a message in memory."""
        before = message.size
        self.stats.images_shed += message.images
        self.stats.images_sent -= message.images
        message.strip()
        self.bytes += message.size - before
        if self.sent and message.sequence <= self.sent[-1].sequence:
            self.sent_bytes += message.size - before

    def drop_from(self, queue: deque[OutgoingMessage], lost: Sequence[OutgoingMessage]) -> None:
        """Let go of some messages of one of the queues, undelivered."""
        gone = set(map(id, lost))
        kept = [message for message in queue if id(message) not in gone]
        queue.clear()
        queue.extend(kept)
        for message in lost:
            self.sent_bytes -= message.size if queue is self.sent else 0
            self._drop(message)

    def unwritten(self, written: int, limit_bytes: int) -> list[OutgoingMessage]:
        """Return copies of the first messages in memory after the sequence that was written last."""
        found: list[OutgoingMessage] = []
        for queue in (self.tail, self.waiting, self.sent):
            for message in reversed(queue):
                if message.sequence <= written:
                    break
                found.append(message)
        copies: list[OutgoingMessage] = []
        while found and limit_bytes > 0:
            copies.append(replace(found.pop()))
            limit_bytes -= copies[-1].size
        return copies

    def count_behind(self, written: int) -> int:
        """Count the messages in memory behind the sequence that was written last."""
        queues = (self.sent, self.waiting, self.tail)
        return sum(message.sequence > written for queue in queues for message in queue)

    def spill(self, written: int) -> None:
        """Leave to the spool what has been written there and need not, or must not, be in memory.

        Once something has been left to it, everything behind that is too: order is kept.
        """
        if not self.spilled and self.is_over:
            self._spill_waiting(written)
        while self.spilled and self.tail and self.tail[0].sequence <= written:
            self._spill(self.tail.popleft())

    def refill(self, messages: Iterable[OutgoingMessage]) -> None:
        """Take back the next messages from the spool; none means that it has lost the rest."""
        found = False
        for message in messages:
            found = True
            self.spilled -= 1
            self.loaded = message.sequence
            if message.sequence > self.acknowledged:
                self._hold(message, self.waiting)
            else:
                self._count(message)
        if not found:
            self.stats.dropped += self.spilled
            self.spilled = 0
        if not self.spilled and self.tail:
            self.waiting += self.tail
            self.tail.clear()
            self.loaded = self.waiting[-1].sequence
        if self.tail:  # what was read back is older than that
            self.with_images = deque(sorted(self.with_images, key=_sequence))

    def lose(self, stripped: Mapping[int, int], dropped: Mapping[int, int]) -> None:
        """Do as the spool had to: leave out images of some messages (sequence: images), drop others."""
        for queue in (self.sent, self.waiting):
            for message in queue:
                if message.images and message.sequence in stripped:
                    self.shed(message)
            if dropped:
                self.drop_from(queue, [message for message in queue if message.sequence in dropped])
        for sequence, images in [*stripped.items(), *dropped.items()] if self.spilled else ():
            if sequence > self.loaded:
                self.stats.images_shed += images
                self.stats.images_sent -= images
                self.stats.dropped += sequence in dropped
                self.spilled -= sequence in dropped

    def tidy(self) -> None:
        """Let go of what has no images any more; bring the books up to date."""
        self.stats.unacknowledged = len(self)
        while self.with_images and not self.with_images[0].images:
            self.with_images.popleft()

    def _hold(self, message: OutgoingMessage, queue: deque[OutgoingMessage]) -> None:
        queue.append(message)
        self.bytes += message.size
        if message.images:
            self.with_images.append(message)
        if queue is self.waiting:
            self.loaded = message.sequence

    def _cut(self, message: OutgoingMessage) -> None:
        """Make a message that the bridge would not read smaller, or give it up.

        Sending it as it is would end the stream, and then the next one, for ever.
        """
        if message.images:
            self.shed(message)
            return
        self.waiting.popleft()
        self._drop(message)

    def _spill_waiting(self, written: int) -> None:
        while self.waiting and self.waiting[-1].sequence > written:
            self.tail.appendleft(self.waiting.pop())
        while self.waiting and self.bytes > self.limit_bytes * 3 // 4:
            message = self.waiting.pop()
            self.loaded = message.sequence - 1
            self._spill(message)
        if not self.spilled:
            self.waiting += self.tail
            self.tail.clear()

    def _spill(self, message: OutgoingMessage) -> None:
        self.bytes -= message.size
        self.spilled += 1
        self._refused -= message.refused  # it will be again
        self.stats.refused -= message.refused
        message.images = 0  # it may still stand in the list of those with images
        message.body = b""

    def _drop(self, message: OutgoingMessage) -> None:
        self.bytes -= message.size
        self._refused -= message.refused
        self.stats.dropped += not message.refused
        self.stats.images_sent -= message.images
        self.stats.images_shed += message.images
        message.images = 0

    def _forget(self, message: OutgoingMessage) -> None:
        self.bytes -= message.size
        self._count(message)
        message.images = 0  # it may still stand in the list of those with images
        message.body = b""

    def _count(self, message: OutgoingMessage) -> None:
        self.acknowledged = max(self.acknowledged, message.sequence)
        if message.refused:
            self._refused -= 1
            return
        self.stats.acknowledged += 1
        self.stats.batches_acknowledged += message.priority is Priority.BATCH


def _sequence(message: OutgoingMessage) -> int:
    return message.sequence

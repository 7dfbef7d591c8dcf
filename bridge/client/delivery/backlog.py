"""The messages that are unacknowledged, in order: in memory, and how many more lie in the spool."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bridge.client.delivery.message import Entry, Kind
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
        self.sent: deque[Entry] = deque()
        self.waiting: deque[Entry] = deque()
        self.spilled = 0
        self.tail: deque[Entry] = deque()
        self.bytes = 0
        """Of all that is in memory."""
        self.sent_bytes = 0
        self.loaded = 0
        """Everything up to this sequence has been in memory ahead of what is spilled."""
        self.acknowledged = 0
        """The highest sequence the bridge has committed."""
        self.with_images: deque[Entry] = deque()
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

    def add(self, entry: Entry) -> None:
        """Take a new message in, behind all others."""
        self._hold(entry, self.tail if self.spilled else self.waiting)
        self.stats.messages += 1
        self.stats.batches += entry.kind is Kind.BATCH
        self.stats.images_sent += entry.images

    def fits(self, window_bytes: int) -> bool:
        """Tell whether the next message may be on its way together with what is."""
        return not self.sent or self.sent_bytes + self.waiting[0].size <= window_bytes

    def frame(
        self, *, window_bytes: int, message_bytes: int, most: int, without_gaps: bool = False
    ) -> list[Entry]:
        """Send the next messages, as many as fit in the window and in one frame.

        With `without_gaps`, there must be room in it for sequences that are missing between them.
        """
        frame: list[Entry] = []
        length = 0
        while self.waiting and len(frame) < most and self.fits(window_bytes):
            entry = self.waiting[0]
            if len(entry.body) > message_bytes:
                self._cut(entry)
                continue
            length += len(entry.body) + ENVELOPE_BYTES
            if frame and without_gaps:
                length += (entry.sequence - frame[-1].sequence - 1) * PLACEHOLDER_BYTES
                if entry.sequence - frame[0].sequence >= most:
                    break
            if frame and length > min(FRAME_BYTES, message_bytes):
                break
            self.waiting.popleft()
            self.sent.append(entry)
            self.sent_bytes += entry.size
            frame.append(entry)
        return frame

    def rewind(self, sequence: int) -> None:
        """Put what was sent back among what waits, from this sequence on."""
        while self.sent and self.sent[-1].sequence >= sequence:
            entry = self.sent.pop()
            self.sent_bytes -= entry.size
            self.waiting.appendleft(entry)

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
        places = (place for place, entry in enumerate(self.sent) if entry.batch == batch)
        for _ in range(next(places, -1) + 1):
            self.forget_sent()

    def forget_sent(self) -> None:
        """Let go of the oldest message on its way."""
        entry = self.sent.popleft()
        self.sent_bytes -= entry.size
        self._forget(entry)

    def refuse(self, sequence: int) -> None:
        """Note that the bridge will not take this message."""
        for entry in self.sent:
            if entry.sequence == sequence and not entry.refused:
                entry.refused = True
                self._refused += 1
                self.stats.refused += 1

    def shed(self, entry: Entry) -> None:
        """Leave out the images of a message in memory."""
        before = entry.size
        self.stats.images_shed += entry.images
        self.stats.images_sent -= entry.images
        entry.strip()
        self.bytes += entry.size - before
        if self.sent and entry.sequence <= self.sent[-1].sequence:
            self.sent_bytes += entry.size - before

    def drop_from(self, queue: deque[Entry], lost: Sequence[Entry]) -> None:
        """Let go of some messages of one of the queues, undelivered."""
        gone = set(map(id, lost))
        kept = [entry for entry in queue if id(entry) not in gone]
        queue.clear()
        queue.extend(kept)
        for entry in lost:
            self.sent_bytes -= entry.size if queue is self.sent else 0
            self._drop(entry)

    def unwritten(self, written: int, limit_bytes: int) -> list[Entry]:
        """Return copies of the first messages in memory after the sequence that was written last."""
        found: list[Entry] = []
        for queue in (self.tail, self.waiting, self.sent):
            for entry in reversed(queue):
                if entry.sequence <= written:
                    break
                found.append(entry)
        copies: list[Entry] = []
        while found and limit_bytes > 0:
            copies.append(replace(found.pop()))
            limit_bytes -= copies[-1].size
        return copies

    def count_behind(self, written: int) -> int:
        """Count the messages in memory behind the sequence that was written last."""
        queues = (self.sent, self.waiting, self.tail)
        return sum(entry.sequence > written for queue in queues for entry in queue)

    def spill(self, written: int) -> None:
        """Leave to the spool what has been written there and need not, or must not, be in memory.

        Once something has been left to it, everything behind that is too: order is kept.
        """
        if not self.spilled and self.is_over:
            self._spill_waiting(written)
        while self.spilled and self.tail and self.tail[0].sequence <= written:
            self._spill(self.tail.popleft())

    def refill(self, entries: Iterable[Entry]) -> None:
        """Take back the next messages from the spool; none means that it has lost the rest."""
        found = False
        for entry in entries:
            found = True
            self.spilled -= 1
            self.loaded = entry.sequence
            if entry.sequence > self.acknowledged:
                self._hold(entry, self.waiting)
            else:
                self._count(entry)
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
            for entry in queue:
                if entry.images and entry.sequence in stripped:
                    self.shed(entry)
            if dropped:
                self.drop_from(queue, [entry for entry in queue if entry.sequence in dropped])
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

    def _hold(self, entry: Entry, queue: deque[Entry]) -> None:
        queue.append(entry)
        self.bytes += entry.size
        if entry.images:
            self.with_images.append(entry)
        if queue is self.waiting:
            self.loaded = entry.sequence

    def _cut(self, entry: Entry) -> None:
        """Make a message that the bridge would not read smaller, or give it up.

        Sending it as it is would end the stream, and then the next one, for ever.
        """
        if entry.images:
            self.shed(entry)
            return
        self.waiting.popleft()
        self._drop(entry)

    def _spill_waiting(self, written: int) -> None:
        while self.waiting and self.waiting[-1].sequence > written:
            self.tail.appendleft(self.waiting.pop())
        while self.waiting and self.bytes > self.limit_bytes * 3 // 4:
            entry = self.waiting.pop()
            self.loaded = entry.sequence - 1
            self._spill(entry)
        if not self.spilled:
            self.waiting += self.tail
            self.tail.clear()

    def _spill(self, entry: Entry) -> None:
        self.bytes -= entry.size
        self.spilled += 1
        self._refused -= entry.refused  # it will be again
        self.stats.refused -= entry.refused
        entry.images = 0  # it may still stand in the list of those with images
        entry.body = b""

    def _drop(self, entry: Entry) -> None:
        self.bytes -= entry.size
        self._refused -= entry.refused
        self.stats.dropped += not entry.refused
        self.stats.images_sent -= entry.images
        self.stats.images_shed += entry.images
        entry.images = 0

    def _forget(self, entry: Entry) -> None:
        self.bytes -= entry.size
        self._count(entry)
        entry.images = 0  # it may still stand in the list of those with images
        entry.body = b""

    def _count(self, entry: Entry) -> None:
        self.acknowledged = max(self.acknowledged, entry.sequence)
        if entry.refused:
            self._refused -= 1
            return
        self.stats.acknowledged += 1
        self.stats.batches_acknowledged += entry.kind is Kind.BATCH


def _sequence(entry: Entry) -> int:
    return entry.sequence

"""Messages that the bridge has not acknowledged yet."""

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from bridge.client.stats import Stats

ENTRY_BYTES = 200
"""What an entry takes up beside its bytes, roughly."""

FRAME_ENTRIES = 512
"""So many messages go in one frame at most: a bridge decodes a frame without a pause."""

ENVELOPE_BYTES = 72
"""What a frame adds to each message at most: the session id (63 bytes), two tags and two lengths."""

FRAME_BYTES = 1 << 20
"""A frame that is longer than this is closed."""


class Kind(IntEnum):
    """What a message is, as far as its delivery depends on it."""

    BATCH = 0
    OTHER = 1
    """Speed, usage and the user's own scalars."""
    PRECIOUS = 2
    """Epochs, statuses and answers to orders: never dropped."""


@dataclass(slots=True, eq=False)
class Entry:
    """One numbered message."""

    sequence: int
    kind: Kind
    body: bytes
    """A MetricsRequest without its session_id, encoded."""
    batch: int = -1
    images: int = 0
    plain: bytes = b""
    """The same without images, where it has any."""
    refused: bool = False
    """The bridge found it invalid; it waits only to be acknowledged with what came after it."""

    @property
    def size(self) -> int:
        """How much room it takes."""
        return ENTRY_BYTES + len(self.body) + len(self.plain)

    def strip(self) -> None:
        """Leave the images out."""
        self.body, self.plain, self.images = self.plain, b"", 0


class Outbox:
    """Keeps messages in order until they are acknowledged, in at most `limit_bytes`.

    When that is full, the images of the oldest batches go first, then every other batch message;
    epochs, statuses and answers stay. What has been sent on a stream that broke is sent again on
    the next one.
    """

    def __init__(self, limit_bytes: int, stats: Stats) -> None:
        """Start empty."""
        self._change = threading.Condition()
        self._limit_bytes = limit_bytes
        self._stats = stats
        self._waiting: deque[Entry] = deque()
        self._sent: deque[Entry] = deque()
        self._with_images: deque[Entry] = deque()
        self._bytes = 0
        self._sent_bytes = 0
        self._refused = 0
        self._stream = 0
        self._hold_until = 0.0
        self._finished = False

    def put(self, entries: Iterable[Entry]) -> None:
        """Take messages in, and make room for them where there is none."""
        with self._change:
            for entry in entries:
                self._waiting.append(entry)
                self._bytes += entry.size
                if entry.images:
                    self._with_images.append(entry)
                self._stats.messages += 1
                self._stats.batches += entry.kind is Kind.BATCH
                self._stats.images_sent += entry.images
            self._make_room()
            self._note()

    def finish(self) -> None:
        """Say that nothing more will be put in."""
        with self._change:
            self._finished = True
            self._change.notify_all()

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will be put in."""
        return self._finished

    @property
    def is_done(self) -> bool:
        """Tell whether everything there will ever be has been dealt with."""
        with self._change:
            return self._finished and not self._left()

    def wait(self, deadline: float, *, until_finished: bool) -> int:
        """Wait until all is dealt with, or the monotonic deadline; return how many messages are left."""
        with self._change:
            while self._left() or (until_finished and not self._finished):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._change.wait(remaining)
            return self._left()

    def open(self) -> int:
        """Start a stream, which sends again what is unacknowledged; return its number for `take`."""
        with self._change:
            self._rewind(0)
            self._stream += 1
            self._hold_until = 0.0
            return self._stream

    def shut(self) -> None:
        """End the stream: nothing more is taken for it."""
        with self._change:
            self._stream += 1
            self._change.notify_all()

    def take(
        self,
        stream: int,
        *,
        window_bytes: int,
        message_bytes: int,
        deadline: float,
        single: bool = False,
        until_acknowledged: bool = True,
    ) -> list[Entry] | None:
        """Wait for messages, and return those of the next frame.

        Returns an empty list at the monotonic deadline, None when the stream is over or everything that
        there will ever be has been acknowledged, or sent where no more than that is asked for.
        """
        with self._change:
            while True:
                left = self._left() if until_acknowledged else len(self._waiting)
                if stream != self._stream or (self._finished and not left):
                    return None
                now = time.monotonic()
                if now >= self._hold_until and self._waiting and self._fits(window_bytes):
                    frame = self._frame(window_bytes, message_bytes, 1 if single else FRAME_ENTRIES)
                    if frame:
                        return frame
                    continue
                pause = deadline - now
                if pause <= 0:
                    return []
                held = self._hold_until - now
                self._change.wait(min(pause, held) if held > 0 else pause)

    def acknowledge(self, sequence: int) -> None:
        """Let go of everything up to this sequence."""
        with self._change:
            while self._sent and self._sent[0].sequence <= sequence:
                self._forget_sent()
            while self._waiting and self._waiting[0].sequence <= sequence:
                self._acknowledged(self._waiting.popleft())
            self._note()

    def acknowledge_batch(self, batch: int) -> None:
        """Let go of the oldest batch that was sent under this index, and of everything sent before it."""
        with self._change:
            places = (place for place, entry in enumerate(self._sent) if entry.batch == batch)
            for _ in range(next(places, -1) + 1):
                self._forget_sent()
            self._note()

    def acknowledge_sent(self) -> None:
        """Let go of everything that was sent."""
        with self._change:
            while self._sent:
                self._forget_sent()
            self._note()

    def refuse(self, sequence: int) -> None:
        """Note that the bridge will not take this message; sending it again will not help."""
        with self._change:
            for entry in self._sent:
                if entry.sequence == sequence and not entry.refused:
                    entry.refused = True
                    self._refused += 1
                    self._stats.refused += 1
            self._note()

    def hold(self, sequence: int, seconds: float) -> None:
        """Send nothing for a while, then everything from this sequence on again (0: from the start)."""
        with self._change:
            if self._sent and self._sent[-1].sequence >= sequence:
                self._hold_until = time.monotonic() + seconds
                self._rewind(sequence)
            self._change.notify_all()

    def _fits(self, window_bytes: int) -> bool:
        return not self._sent or self._sent_bytes + self._waiting[0].size <= window_bytes

    def _frame(self, window_bytes: int, message_bytes: int, most: int) -> list[Entry]:
        frame: list[Entry] = []
        length = 0
        while self._waiting and len(frame) < most and self._fits(window_bytes):
            entry = self._waiting[0]
            if len(entry.body) > message_bytes:
                self._cut(entry, message_bytes)
                continue
            length += len(entry.body) + ENVELOPE_BYTES
            if frame and length > min(FRAME_BYTES, message_bytes):
                break
            self._waiting.popleft()
            self._sent.append(entry)
            self._sent_bytes += entry.size
            frame.append(entry)
        return frame

    def _cut(self, entry: Entry, message_bytes: int) -> None:
        """Make a message that the bridge would not read smaller, or give it up.

        Sending it as it is would end the stream, and then the next one, for ever.
        """
        if entry.images and len(entry.plain) <= message_bytes:
            self._shed(entry)
            return
        self._waiting.popleft()
        self._drop(entry)
        self._note()

    def _rewind(self, sequence: int) -> None:
        """Put what was sent back among what waits, from this sequence on."""
        while self._sent and self._sent[-1].sequence >= sequence:
            entry = self._sent.pop()
            self._sent_bytes -= entry.size
            self._waiting.appendleft(entry)

    def _make_room(self) -> None:
        while self._bytes > self._limit_bytes and self._with_images:
            entry = self._with_images.popleft()
            if entry.images:
                self._shed(entry)
        while self._bytes > self._limit_bytes and self._thin():
            pass

    def _shed(self, entry: Entry) -> None:
        before = entry.size
        self._stats.images_shed += entry.images
        self._stats.images_sent -= entry.images
        entry.strip()
        self._bytes += entry.size - before
        if self._sent and entry.sequence <= self._sent[-1].sequence:
            self._sent_bytes += entry.size - before

    def _thin(self) -> bool:
        """Drop every other message that may be dropped; tell whether there were any."""
        dropped = 0
        for queue in (self._sent, self._waiting):
            kept: list[Entry] = []
            odd = True
            for entry in queue:
                droppable = entry.kind is not Kind.PRECIOUS
                if droppable and odd:
                    self._drop(entry)
                    dropped += 1
                    if queue is self._sent:
                        self._sent_bytes -= entry.size
                else:
                    kept.append(entry)
                odd = odd != droppable
            queue.clear()
            queue.extend(kept)
        return dropped > 0

    def _drop(self, entry: Entry) -> None:
        self._bytes -= entry.size
        self._refused -= entry.refused
        self._stats.dropped += not entry.refused
        self._stats.images_sent -= entry.images
        self._stats.images_shed += entry.images
        entry.images = 0

    def _forget_sent(self) -> None:
        entry = self._sent.popleft()
        self._sent_bytes -= entry.size
        self._acknowledged(entry)

    def _acknowledged(self, entry: Entry) -> None:
        self._bytes -= entry.size
        entry.images = 0  # it may still stand in the list of those with images
        entry.plain = entry.body = b""
        if entry.refused:
            self._refused -= 1
            return
        self._stats.acknowledged += 1
        self._stats.batches_acknowledged += entry.kind is Kind.BATCH

    def _left(self) -> int:
        return len(self._waiting) + len(self._sent) - self._refused

    def _note(self) -> None:
        """Bring the books up to date, and tell whoever waits."""
        self._stats.unacknowledged = self._left()
        while self._with_images and not self._with_images[0].images:
            self._with_images.popleft()
        self._change.notify_all()

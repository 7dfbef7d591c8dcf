"""Messages that the bridge has not acknowledged yet, handed from thread to thread."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from bridge.client.delivery.backlog import Backlog
from bridge.client.delivery.eviction import make_room
from bridge.client.delivery.message import OutgoingMessage, placeholder
from bridge.client.left_out import LeftOut
from bridge.client.stats import Stats

FRAME_MESSAGES = 512
"""The most messages in a frame: a bridge decodes a frame without yielding to its event loop."""

WRITE_BYTES = 1 << 20
"""The most that is handed to the spool at once, unless one message is larger."""

READ_BYTES = 1 << 20
"""The most that is read back from the spool at once, unless one message is larger."""

GAP_LIMIT = 100_000
"""A stream ends rather than send more placeholders than this in one place."""

SPOOL_WAIT_SECONDS = 1.0
"""How long a full memory waits for the spool to write some of it before something is shed."""


class Outbox:
    """Keeps messages in order until they are acknowledged, in at most `limit_bytes` of memory.

    When memory is full, messages that a spool has written are left to it and read back when their turn
    comes. Without a spool the images of the oldest batches go first, then every other batch message;
    epochs, statuses and answers stay. What was in flight on a stream that broke is sent again on the next.

    A bridge applies no sequence before the one below it. So a placeholder goes out under the sequence of
    a dropped message, except at the start of a stream, where the first sequence says where it begins.
    """

    def __init__(self, limit_bytes: int, stats: Stats) -> None:
        """Start empty."""
        self._change = threading.Condition()
        self._backlog = Backlog(limit_bytes, stats)
        self._written_through: int | None = None
        """The last sequence in the spool; None where there is no spool, or it takes nothing."""
        self._notify_spool: Callable[[], None] = _no_spool
        self._stream = 0
        """The number of the open stream, or of none if that has been closed."""
        self._next_sequence = 0
        """The sequence this stream has to continue with; 0: any, nothing has been sent on it."""
        self._given_up = False
        self._paused_until = 0.0
        self._is_closed = False
        self._is_abandoned = False

    def put(self, messages: Iterable[OutgoingMessage]) -> None:
        """Append messages, and make room for them where there is none."""
        with self._change:
            for message in messages:
                self._backlog.add(message)
            self._update_and_notify()
            self._notify_spool()
            self._wait_for_spool(time.monotonic() + SPOOL_WAIT_SECONDS)
            make_room(self._backlog)
            self._update_and_notify()

    def close(self) -> None:
        """Declare that nothing more will be put in; it is done once what is in it is delivered."""
        with self._change:
            self._is_closed = True
            self._change.notify_all()

    def abandon(self) -> None:
        """Release everybody who waits: nothing more will be delivered."""
        with self._change:
            self._is_abandoned = True
            self._change.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will be put in."""
        return self._is_closed

    @property
    def is_done(self) -> bool:
        """Whether everything there will ever be has been acknowledged, refused or dropped."""
        with self._change:
            return self._is_closed and not self._backlog

    @property
    def acked_through(self) -> int:
        """The highest sequence that the bridge has committed."""
        return self._backlog.acked_through

    def give_up(self) -> None:
        """Declare that nothing can ever be delivered from this process, so that nobody waits for it."""
        with self._change:
            self._given_up = True
            self._change.notify_all()

    def stats(self, *accounts: LeftOut) -> Stats:
        """Return a snapshot of the counters, with what the threads have left out."""
        with self._change:
            return self._backlog.stats.snapshot(*accounts)

    def wait_until_delivered(self, deadline: float) -> int:
        """Wait until all is delivered, or until the monotonic deadline; return how many messages are left."""
        return self._wait(lambda: not self._backlog or self._given_up, deadline)

    def wait_until_drained(self, deadline: float) -> int:
        """Wait until the outbox is closed and all is delivered; return how many messages are left."""
        return self._wait(
            lambda: self._is_closed and (not self._backlog or self._given_up), deadline
        )

    def open_stream(self) -> int:
        """Start a stream, which resends what is unacknowledged; return its number for `take_frame`."""
        with self._change:
            self._backlog.rewind(0)
            self._stream += 1
            self._next_sequence = 0
            self._paused_until = 0.0
            return self._stream

    def close_stream(self) -> None:
        """End the stream: `take_frame` returns None for it from now on."""
        with self._change:
            self._stream += 1
            self._change.notify_all()

    def take_frame(
        self,
        stream: int,
        *,
        window_bytes: int,
        message_bytes: int,
        deadline: float,
        single: bool = False,
        until_acknowledged: bool = True,
        fill_gaps: bool = False,
    ) -> list[OutgoingMessage] | None:
        """Wait for messages, and return those of the next frame.

        Returns an empty list at the monotonic deadline; None when the stream is over, or once nothing more
        will come and all has been acknowledged, or only sent without `until_acknowledged`.
        With `fill_gaps`, placeholders take the places of dropped messages.
        """
        backlog = self._backlog
        max_messages = 1 if single else FRAME_MESSAGES
        with self._change:
            if self._written_through is not None:  # what is in flight cannot be left to the spool
                window_bytes = min(window_bytes, backlog.limit_bytes // 2)
            while True:
                left = len(backlog) if until_acknowledged else backlog.unsent_count
                if stream != self._stream or (self._is_closed and not left):
                    return None
                now = time.monotonic()
                if now >= self._paused_until and backlog.unsent and backlog.fits(window_bytes):
                    next_sequence = self._next_sequence
                    gap = backlog.unsent[0].sequence - next_sequence if next_sequence else 0
                    if gap > GAP_LIMIT and fill_gaps:
                        return None
                    if gap > 0 and fill_gaps:
                        return self._fill_gaps([], next_sequence + min(gap, max_messages))
                    frame = backlog.take_frame(
                        window_bytes=window_bytes,
                        message_bytes=message_bytes,
                        max_messages=max_messages,
                        fill_gaps=fill_gaps,
                    )
                    self._update_and_notify()
                    if frame and fill_gaps:
                        return self._fill_gaps(frame, frame[-1].sequence + 1)
                    if frame:
                        return frame
                    continue
                remaining = deadline - now
                if remaining <= 0:
                    return []
                paused = self._paused_until - now
                self._change.wait(min(remaining, paused) if paused > 0 else remaining)

    def acknowledge(self, sequence: int) -> None:
        """Release everything up to this sequence."""
        with self._change:
            self._backlog.acknowledge(sequence)
            self._update_and_notify()

    def acknowledge_batch(self, batch: int) -> None:
        """Release the oldest batch in flight with this index, and everything sent before it."""
        with self._change:
            self._backlog.acknowledge_batch(batch)
            self._update_and_notify()

    def acknowledge_sent(self) -> None:
        """Release everything that was sent."""
        with self._change:
            while self._backlog.in_flight:
                self._backlog.release_oldest()
            self._update_and_notify()

    def mark_refused(self, sequence: int) -> None:
        """Record that the bridge rejected this message for good."""
        with self._change:
            self._backlog.mark_refused(sequence)
            self._update_and_notify()

    def pause_and_rewind(self, sequence: int, seconds: float) -> bool:
        """Send nothing for a while, then everything from this sequence on again (0: from the start).

        Return False where the bridge asks for what it had acknowledged: it has lost its state, or is another
        one, and only a new stream can begin behind that.
        """
        with self._change:
            backlog = self._backlog
            if sequence and sequence <= backlog.acked_through:
                return False
            if backlog.in_flight and backlog.in_flight[-1].sequence >= sequence:
                self._paused_until = time.monotonic() + seconds
                backlog.rewind(sequence)
            if self._next_sequence:
                first_unacked = backlog.acked_through + 1
                self._next_sequence = min(self._next_sequence, max(sequence, first_unacked))
            self._change.notify_all()
            return True

    def attach_spool(self, written_through: int, notify_spool: Callable[[], None]) -> None:
        """Let a spool write what is put in, behind the sequence it has.

        `notify_spool` is called when there is something for it to do, and must return at once.
        """
        with self._change:
            self._written_through = written_through
            self._notify_spool = notify_spool

    def resume(self, *, acked_through: int, messages: int, batches: int) -> None:
        """Begin with what a spool holds behind the sequence that is acknowledged already."""
        with self._change:
            backlog = self._backlog
            backlog.loaded_through = backlog.acked_through = acked_through
            backlog.spilled += messages
            backlog.stats.messages += messages
            backlog.stats.batches += batches
            self._update_and_notify()

    def unwritten(self) -> list[OutgoingMessage]:
        """Return copies of the next messages for the spool; none while it takes nothing."""
        with self._change:
            if self._written_through is None:
                return []
            return self._backlog.copy_unwritten(self._written_through, WRITE_BYTES)

    def mark_written(self, sequence: int | None) -> None:
        """Record that everything up to this sequence is in the spool; None: it takes nothing for now."""
        with self._change:
            self._written_through = sequence
            if sequence is not None:
                self._backlog.spill(sequence)
            self._update_and_notify()

    def count_written(self, written_through: int) -> int:
        """Count the undelivered messages up to the sequence that was written last."""
        with self._change:
            return len(self._backlog) - self._backlog.count_after(written_through)

    def next_refill(self) -> tuple[int, int] | None:
        """Return behind which sequence the spool is to be read, and how many bytes; None: not now."""
        with self._change:
            limit_bytes = min(READ_BYTES, self._backlog.limit_bytes // 4)
            return (self._backlog.loaded_through, limit_bytes) if self._needs_refill else None

    def refill(self, messages: Iterable[OutgoingMessage]) -> None:
        """Take back messages from the spool, the next ones in order; none: the rest of them is lost."""
        with self._change:
            self._backlog.refill(messages)
            self._update_and_notify()

    def apply_spool_shedding(self, stripped: Mapping[int, int], dropped: Mapping[int, int]) -> None:
        """Apply what a full spool gave up, as sequence: images, to memory and to the counters."""
        with self._change:
            self._backlog.apply_spool_shedding(stripped, dropped)
            self._update_and_notify()

    def _fill_gaps(self, frame: list[OutgoingMessage], end: int) -> list[OutgoingMessage]:
        """Return a frame from where the last one ended to before `end`, with placeholders for the missing."""
        begin = self._next_sequence or frame[0].sequence
        self._next_sequence = end
        if end - begin == len(frame):
            return frame
        by_sequence = {message.sequence: message for message in frame}
        return [by_sequence.get(number) or placeholder(number) for number in range(begin, end)]

    def _wait(self, is_over: Callable[[], bool], deadline: float) -> int:
        with self._change:
            remaining = max(0.0, deadline - time.monotonic())
            self._change.wait_for(lambda: is_over() or self._is_abandoned, remaining)
            return len(self._backlog)

    def _wait_for_spool(self, deadline: float) -> None:
        """Wait until the spool has taken what is too much, but no longer than a healthy disk would need."""
        while self._written_through is not None and self._backlog.is_over_limit:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._backlog.copy_unwritten(self._written_through, 1):
                return
            self._change.wait(remaining)

    @property
    def _needs_refill(self) -> bool:
        """Whether memory has room for what is spilled: half of it is free, or nothing is left to send."""
        backlog = self._backlog
        if not backlog.spilled or len(backlog.unsent) > FRAME_MESSAGES:
            return False
        is_half_free = backlog.memory_bytes < backlog.limit_bytes // 2
        return is_half_free or not (backlog.in_flight or backlog.unsent)

    def _update_and_notify(self) -> None:
        """Publish the counters after a change, and wake the spool and whoever waits."""
        self._backlog.update_stats()
        if self._needs_refill:
            self._notify_spool()
        self._change.notify_all()


def _no_spool() -> None:
    """Nothing to notify."""

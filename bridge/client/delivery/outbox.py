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
"""So many messages go in one frame at most: a bridge decodes a frame without a pause."""

WRITE_BYTES = 1 << 20
"""So much is handed to the spool at once, or one message."""

READ_BYTES = 1 << 20
"""So much is read back from the spool at once, or one message."""

GAP_LIMIT = 100_000
"""A stream that would have to leave out more messages than this at one place ends there."""

PATIENCE_SECONDS = 1.0
"""So long a full memory waits for the spool to take some of it, before something is shed."""


class Outbox:
    """Keeps messages in order until they are acknowledged, in at most `limit_bytes` of memory.

    When that is full, what a spool has written is left to it and read back when its turn comes. Without
    a spool the images of the oldest batches go first, then every other batch message; epochs, statuses
    and answers stay. What has been sent on a stream that broke is sent again on the next one.

    A bridge applies no sequence before the one below it. So where a message was dropped, an empty one goes
    out under its sequence, except at the start of a stream, where the first sequence says it all.
    """

    def __init__(self, limit_bytes: int, stats: Stats) -> None:
        """Start empty."""
        self._change = threading.Condition()
        self._backlog = Backlog(limit_bytes, stats)
        self._written: int | None = None
        """The last sequence in the spool; None where there is no spool that takes anything."""
        self._attend: Callable[[], None] = _nobody
        self._stream = 0
        self._next = 0
        """The sequence that this stream must go on with; 0: with any, it has sent none."""
        self._given_up = False
        self._hold_until = 0.0
        self._finished = False
        self._is_abandoned = False

    def put(self, messages: Iterable[OutgoingMessage]) -> None:
        """Take messages in, and make room for them where there is none."""
        with self._change:
            for message in messages:
                self._backlog.add(message)
            self._note()
            self._attend()
            self._wait_for_spool(time.monotonic() + PATIENCE_SECONDS)
            make_room(self._backlog)
            self._note()

    def finish(self) -> None:
        """Say that nothing more will be put in."""
        with self._change:
            self._finished = True
            self._change.notify_all()

    def abandon(self) -> None:
        """Have nobody wait any longer: nothing more will be delivered."""
        with self._change:
            self._is_abandoned = True
            self._change.notify_all()

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will be put in."""
        return self._finished

    @property
    def is_done(self) -> bool:
        """Tell whether everything there will ever be has been dealt with."""
        with self._change:
            return self._finished and not self._backlog

    @property
    def acknowledged(self) -> int:
        """The highest sequence that the bridge has committed."""
        return self._backlog.acknowledged

    def give_up(self) -> None:
        """Say that nothing will ever be delivered from here, so that nobody waits for it."""
        with self._change:
            self._given_up = True
            self._change.notify_all()

    def stats(self, *accounts: LeftOut) -> Stats:
        """Return a copy of the numbers that stands still, with what the threads have left out."""
        with self._change:
            return self._backlog.stats.snapshot(*accounts)

    def wait(self, deadline: float, *, until_finished: bool) -> int:
        """Wait until all is dealt with, or the monotonic deadline; return how many messages are left."""
        with self._change:
            while (self._backlog and not self._given_up) or (until_finished and not self._finished):
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._is_abandoned:
                    break
                self._change.wait(remaining)
            return len(self._backlog)

    def open(self) -> int:
        """Start a stream, which sends again what is unacknowledged; return its number for `take`."""
        with self._change:
            self._backlog.rewind(0)
            self._stream += 1
            self._next = 0
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
        without_gaps: bool = False,
    ) -> list[OutgoingMessage] | None:
        """Wait for messages, and return those of the next frame.

        Returns an empty list at the monotonic deadline, None when the stream is over or everything that
        there will ever be has been acknowledged, or sent where no more than that is asked for.
        With `without_gaps`, empty messages take the places of those that were dropped.
        """
        backlog = self._backlog
        most = 1 if single else FRAME_MESSAGES
        with self._change:
            if self._written is not None:  # what is on its way cannot be left to the spool
                window_bytes = min(window_bytes, backlog.limit_bytes // 2)
            while True:
                left = len(backlog) if until_acknowledged else backlog.unsent
                if stream != self._stream or (self._finished and not left):
                    return None
                now = time.monotonic()
                if now >= self._hold_until and backlog.waiting and backlog.fits(window_bytes):
                    gap = backlog.waiting[0].sequence - self._next if self._next else 0
                    if gap > GAP_LIMIT and without_gaps:
                        return None
                    if gap > 0 and without_gaps:
                        return self._without_gaps([], self._next + min(gap, most))
                    frame = backlog.frame(
                        window_bytes=window_bytes,
                        message_bytes=message_bytes,
                        most=most,
                        without_gaps=without_gaps,
                    )
                    self._note()
                    if frame and without_gaps:
                        return self._without_gaps(frame, frame[-1].sequence + 1)
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
            self._backlog.acknowledge(sequence)
            self._note()

    def acknowledge_batch(self, batch: int) -> None:
        """Let go of the oldest batch that was sent under this index, and of everything sent before it."""
        with self._change:
            self._backlog.acknowledge_batch(batch)
            self._note()

    def acknowledge_sent(self) -> None:
        """Let go of everything that was sent."""
        with self._change:
            while self._backlog.sent:
                self._backlog.forget_sent()
            self._note()

    def refuse(self, sequence: int) -> None:
        """Note that the bridge will not take this message; sending it again will not help."""
        with self._change:
            self._backlog.refuse(sequence)
            self._note()

    def hold(self, sequence: int, seconds: float) -> bool:
        """Send nothing for a while, then everything from this sequence on again (0: from the start).

        Return False where the bridge lacks what had been acknowledged: it has lost its state, or is another
        one, and only a new stream can begin behind that.
        """
        with self._change:
            backlog = self._backlog
            if sequence and sequence <= backlog.acknowledged:
                return False
            if backlog.sent and backlog.sent[-1].sequence >= sequence:
                self._hold_until = time.monotonic() + seconds
                backlog.rewind(sequence)
            if self._next:
                self._next = min(self._next, max(sequence, backlog.acknowledged + 1))
            self._change.notify_all()
            return True

    def keep_in(self, written: int, attend: Callable[[], None]) -> None:
        """Let a spool take what is put in, beginning behind the sequence it has.

        `attend` is called, and must return at once, when there is something for it to do.
        """
        with self._change:
            self._written = written
            self._attend = attend

    def resume(self, *, acknowledged: int, messages: int, batches: int) -> None:
        """Begin with what lies in a spool, behind the sequence that was acknowledged before."""
        with self._change:
            backlog = self._backlog
            backlog.loaded = backlog.acknowledged = acknowledged
            backlog.spilled += messages
            backlog.stats.messages += messages
            backlog.stats.batches += batches
            self._note()

    def unwritten(self) -> list[OutgoingMessage]:
        """Return copies of the next messages for the spool; none while it takes nothing."""
        with self._change:
            if self._written is None:
                return []
            return self._backlog.unwritten(self._written, WRITE_BYTES)

    def written(self, sequence: int | None) -> None:
        """Note that everything up to this sequence is in the spool; None: it takes nothing for now."""
        with self._change:
            self._written = sequence
            if sequence is not None:
                self._backlog.spill(sequence)
            self._note()

    def count_written(self, written: int) -> int:
        """Count the undelivered messages up to the sequence that was written last."""
        with self._change:
            return len(self._backlog) - self._backlog.count_behind(written)

    def missing(self) -> tuple[int, int] | None:
        """Return behind which sequence the spool is to be read, and how many bytes; None: not now."""
        with self._change:
            room = min(READ_BYTES, self._backlog.limit_bytes // 4)
            return (self._backlog.loaded, room) if self._is_hungry else None

    def refill(self, messages: Iterable[OutgoingMessage]) -> None:
        """Take back messages from the spool, the next ones in order; none: the rest of them is lost."""
        with self._change:
            self._backlog.refill(messages)
            self._note()

    def lose(self, stripped: Mapping[int, int], dropped: Mapping[int, int]) -> None:
        """Count what the spool had no room for, as sequence: images; those stripped keep their numbers."""
        with self._change:
            self._backlog.lose(stripped, dropped)
            self._note()

    def _without_gaps(self, frame: list[OutgoingMessage], end: int) -> list[OutgoingMessage]:
        """Return a frame that goes on from the last one to before `end`, with empty messages for the missing."""
        begin = self._next or frame[0].sequence
        self._next = end
        if end - begin == len(frame):
            return frame
        found = {message.sequence: message for message in frame}
        return [found.get(sequence) or placeholder(sequence) for sequence in range(begin, end)]

    def _wait_for_spool(self, deadline: float) -> None:
        """Let the spool take what is too much; how long a disk may take for that is bounded."""
        while self._written is not None and self._backlog.is_over:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._backlog.unwritten(self._written, 1):
                return
            self._change.wait(remaining)

    @property
    def _is_hungry(self) -> bool:
        backlog = self._backlog
        if not backlog.spilled or len(backlog.waiting) > FRAME_MESSAGES:
            return False
        return backlog.bytes < backlog.limit_bytes // 2 or not (backlog.sent or backlog.waiting)

    def _note(self) -> None:
        """Bring the books up to date, and tell whoever waits."""
        self._backlog.tidy()
        if self._is_hungry:
            self._attend()
        self._change.notify_all()


def _nobody() -> None:
    """There is no spool."""

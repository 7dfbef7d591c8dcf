"""The parts of a session and their threads: built, started, closed and stopped."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bridge.client import process_hooks
from bridge.client.calls import AnswerCall, FlushCall, StatusCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.capture import Capture
from bridge.client.capture.collector import Collector
from bridge.client.commands import Command, CommandInbox
from bridge.client.delivery.connection import Connection
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.delivery.transport import InProcessBridge, Transport
from bridge.client.encoding.encoder import TEXT_LIMIT, text
from bridge.client.encoding.isolation import let_through
from bridge.client.identity import Identity
from bridge.client.left_out import LeftOut, Reason, error_text
from bridge.client.own_gpus import Gpus
from bridge.client.ranks import RankCheck
from bridge.client.resource_usage import ResourceMonitor
from bridge.client.settings import Destination
from bridge.client.spool.worker import SpoolWorker
from bridge.client.stats import Notices, Stats
from bridge.client.strict import StrictCheck
from bridge.protocol import Status, status_of

log = logging.getLogger("trainbridge")

STOP_SECONDS = 0.8
"""How much longer than it was given the end of a session may take: for its threads, and for the disk."""

LAST_WORD_SECONDS = 0.2
"""How long a bridge that has everything may take to end the stream."""

COLLECT_SHARE = 0.5
"""Of that, so much is left to the numbers that have not been encoded yet, where a spool keeps them."""

PAUSE_WITHOUT_BRIDGE_SECONDS = 600.0
"""A paused loop goes on when the bridge, which alone could resume it, has been away for so long."""


class Options(NamedTuple):
    """How a session works."""

    buffer_bytes: int
    close_seconds: float
    gpus: Gpus
    strict: bool
    spool: tuple[Path, int] | None
    """Where a spool is to be, and how large at most."""


class Runtime:
    """What works for one session: the loop's calls pass through its parts, in two threads and a spool's.

    The call queue holds what was captured, the collector makes messages of it, the outbox holds these
    until they are acknowledged, and the transport delivers them.
    """

    def __init__(
        self,
        identity: Identity,
        bridge: Destination | InProcessBridge,
        rank: RankCheck,
        options: Options,
    ) -> None:
        """Build all parts, and start them where this process reports. Raises ValueError and OSError."""
        self._rank = rank
        self._options = options
        self._stats = Stats()
        self._notices = Notices()
        self._accounts = (LeftOut(strict=options.strict), LeftOut(), LeftOut())
        """What the loop's calls have left out, what the SDK's thread has, and what the end has."""
        self._is_over = False
        self._is_closing = False
        self._threads: tuple[threading.Thread, ...] = ()
        self._spool: SpoolWorker | None = None
        self.queue = CallQueue(options.buffer_bytes)
        self._outbox = Outbox(options.buffer_bytes, self._stats)
        check = StrictCheck(identity.config, self._server_config).check if options.strict else None
        self._resources = ResourceMonitor(gpus=options.gpus)
        self.capture = Capture(
            self.queue,
            options.buffer_bytes,
            server_config=self._server_config,
            left_out=self._accounts[0],
            check=check,
        )
        self._collector = Collector(
            self.queue,
            self.capture,
            self._outbox,
            identity.config,
            server_config=self._server_config,
            left_out=self._accounts[1],
            resources=self._resources,
        )
        self.commands = CommandInbox(
            self._answer, is_answer_pending=self._collector.is_answer_pending
        )
        self._transport = self._connect(bridge, identity)
        if rank.reports:
            self._start(identity)
        else:
            self._become_inert()

    @property
    def session_id(self) -> str:
        """The name of the session at the bridge."""
        return self._transport.session_id

    def stats(self) -> Stats:
        """Return what has been sent, acknowledged and lost so far."""
        return self._outbox.stats(*self._accounts)

    def begin(self) -> None:
        """Report that training runs, at the first call of the loop."""
        self._settle()
        if not self.queue.is_closed:
            self._resources.record_cuda_devices()
            self.report_status(Status.RUNNING)

    def report_status(self, status: Status, message: str = "") -> None:
        """Report a status; nothing is reported behind one that ends the session."""
        if self._is_over:
            return
        try:
            call = StatusCall(time.monotonic(), status_of(status), text(message))
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._accounts[0].add("statuses", Reason.UNREADABLE, error=error)
            return
        self._is_over = call.status.is_end
        self.queue.put(call)

    def report_end(self, error: BaseException | None) -> None:
        """Report COMPLETED, or FAILED with the type and message of what was raised."""
        if error is None or (isinstance(error, SystemExit) and not error.code):
            message = "stopped by command" if self.commands.is_stopping else ""
            self.report_status(Status.COMPLETED, message)
        else:
            self.report_status(Status.FAILED, error_text(error, TEXT_LIMIT).removesuffix(": "))

    def is_abandoned(self) -> bool:
        """Return whether nobody is left who could end a pause."""
        disconnected_since = self._transport.disconnected_since
        away = (
            disconnected_since is not None
            and time.monotonic() - disconnected_since > PAUSE_WITHOUT_BRIDGE_SECONDS
        )
        return away or self._is_over

    def flush(self, timeout: float) -> int:
        """Wait until all that was logged is delivered, or the timeout; return how many messages are not."""
        deadline = time.monotonic() + waitable(timeout)
        self._settle()
        if not self._threads or self._is_closing:
            return 0
        return self._flush_queue(deadline) + self._outbox.wait_until_delivered(deadline)

    def close(self, timeout: float | None = None) -> int:
        """Deliver what there is, for `timeout` seconds, and stop; return how many messages are left."""
        self._settle()
        if not self._threads or self._is_closing:
            return 0
        self._is_closing = True
        timeout = waitable(self._options.close_seconds if timeout is None else timeout)
        deadline = time.monotonic() + timeout
        try:
            self.commands.close()
            self._close_input(timeout)
            self._outbox.wait_until_drained(deadline)
        finally:  # an interrupt gives up the rest, and must leave no thread behind
            left = self._stop(time.monotonic())
        self._log_end(left)
        return left

    def after_fork_in_child(self) -> None:
        """Become inert, and free nothing; called in child processes."""
        self._inherited = (self.queue.abandon(), self._outbox)
        self._outbox = Outbox(
            self._options.buffer_bytes, self._stats
        )  # the other's lock may be held
        self.commands.after_fork_in_child()
        self._threads = ()
        self._is_over = True
        if self._spool is not None:
            self._spool.after_fork_in_child()

    def before_exit(self, error: BaseException | None) -> None:
        """Begin to close; called when the interpreter ends."""
        if not self._is_closing:
            self._settle()
            self.report_end(error)
            self.commands.close()
            self._close_input(min(process_hooks.EXIT_SECONDS, self._options.close_seconds))

    def at_exit(self, seconds: float) -> None:
        """Close; called when the interpreter ends."""
        if self._is_closing:  # that was interrupted, or goes on in a thread that will not end it
            self._stop(time.monotonic())
        else:
            self.close(min(seconds, self._options.close_seconds))

    def _server_config(self) -> ServerConfig:
        return self._transport.server_config

    def _connect(self, bridge: Destination | InProcessBridge, identity: Identity) -> Transport:
        if not isinstance(bridge, Destination):
            return bridge.connect(identity, self._outbox, self.commands, self._stats)
        return Connection(
            bridge, identity, self._outbox, self.commands, stats=self._stats, notices=self._notices
        )

    def _start(self, identity: Identity) -> None:
        if self._options.spool is not None:
            self._spool = SpoolWorker.create(
                *self._options.spool,
                identity,
                self._outbox,
                stats=self._stats,
                notices=self._notices,
            )
            self._spool.start()
        self.queue.put(StatusCall(time.monotonic(), Status.INITIALIZING, ""))
        self._threads = (
            self._thread("trainbridge-collect", self._collector.run),
            self._thread("trainbridge-send", self._transport.run),
        )
        for thread in self._threads:
            thread.start()
        process_hooks.register(self)

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Return a thread that works once it is known that this rank reports, if it does."""

        def run() -> None:
            if self._rank.wait():
                work()

        return threading.Thread(target=run, name=name, daemon=True)

    def _settle(self) -> None:
        """Become inert where training has turned out to have a rank 0 that is another process."""
        if self._threads and not self._rank.settle():
            process_hooks.unregister(self)
            self._become_inert()

    def _become_inert(self) -> None:
        self._threads = ()
        self.after_fork_in_child()
        self.capture.close()

    def _answer(self, command: Command, applied: bool, remark: str) -> None:  # noqa: FBT001
        outcome = "applied" if applied else "refused"
        log.info("command %s %s %s", command.type.name, outcome, remark)
        if command.id:
            command.answered_at = command.answered_at or self.capture.position
            self.queue.put(
                AnswerCall(time.monotonic(), command.id, applied, remark, *command.answered_at)
            )

    def _flush_queue(self, deadline: float) -> int:
        """Wait until a marker has come through the collector; return how many calls before it have not."""
        marker = FlushCall(time.monotonic(), threading.Event())
        self.queue.put(marker)
        self.queue.wake.set()
        if self.queue.is_closed or marker.done.wait(deadline - time.monotonic()):
            return 0  # closed: by another thread, and maybe before the marker was put in
        return max(0, self.queue.unfinished - 1)

    def _close_input(self, seconds: float) -> None:
        """Take nothing more in: each stage passes on what it has, closes the next one's input, and ends."""
        self._collector.deadlines.end_within(seconds)
        self.queue.close()
        self._transport.skip_backoff()

    def _stop(self, now: float) -> int:
        """Take all threads out of what they do, within `STOP_SECONDS`; return how many messages are left."""
        if not self._threads:
            return 0
        deadline = now + STOP_SECONDS
        collecting, sending = self._threads
        self._collector.deadlines.expire()
        self.queue.close()  # an interrupt may have come before
        if self._outbox.is_done:
            sending.join(LAST_WORD_SECONDS)  # the bridge may still report what became of images
        self._transport.stop()
        if self._spool is not None:
            collecting.join(STOP_SECONDS * COLLECT_SHARE)
        abandoned = self._collector.abandon(self._accounts[2])
        self._outbox.abandon()
        if self._spool is None:
            collecting.join(max(0.0, deadline - time.monotonic()))
        left = self._outbox.wait_until_delivered(0.0) + self.queue.in_hand
        if self._spool is not None:
            self._spool.close(max(0.0, deadline - time.monotonic()))
        sending.join(max(0.0, deadline - time.monotonic()))
        self._release_capture(deadline, is_collecting=collecting.is_alive())
        self._threads = ()
        process_hooks.unregister(self)
        return left + abandoned

    def _release_capture(self, deadline: float, *, is_collecting: bool) -> None:
        self.capture.wait_for_caller(deadline)
        self.capture.close()
        if self.capture.was_interrupted and not is_collecting:
            # Between two steps of one of those calls its images may have belonged to nobody.
            self._accounts[2].add("images", Reason.RAISED, max(0, self.stats().images_waiting))

    def _log_end(self, left: int) -> None:
        """Log what was lost, if anything was."""
        stats = self._stats
        if left or stats.dropped or stats.images_shed or stats.refused:
            log.warning(
                "session %s is over: %d messages not delivered, %d dropped, %d refused, %d images shed",
                self.session_id,
                left,
                stats.dropped,
                stats.refused,
                stats.images_shed,
            )
        if stats.kept and self._spool is not None:
            log.warning(
                "%d messages are kept in the spool; deliver them with: trainbridge sync %s",
                stats.kept,
                self._spool.root,
            )


def waitable(timeout: float) -> float:
    """Return a timeout as threads take one: no less than 0, and no more than they can wait."""
    return min(timeout, threading.TIMEOUT_MAX / 2) if timeout > 0 else 0.0

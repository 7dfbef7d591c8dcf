"""What a training loop talks to."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import uuid4

from bridge import __version__
from bridge.client import process_hooks
from bridge.client.calls import AnswerCall, FlushCall, ResumedCall, StatusCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.capture import Capture
from bridge.client.capture.collector import Collector
from bridge.client.clock import now_ms
from bridge.client.commands import Callback, Command, CommandInbox
from bridge.client.delivery.connection import Connection
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.encoding.encoder import text
from bridge.client.encoding.isolation import let_through
from bridge.client.identity import Identity, RunConfig
from bridge.client.left_out import LeftOut, Reason
from bridge.client.own_gpus import Gpus
from bridge.client.ranks import RankCheck, agree, wait_together
from bridge.client.resource_usage import ResourceMonitor
from bridge.client.settings import (
    Destination,
    ProcessRank,
    Ranks,
    destination,
    session_name,
    spool_location,
)
from bridge.client.spool.worker import Spooling
from bridge.client.stats import Notices, Stats
from bridge.client.strict import StrictCheck
from bridge.protocol import CommandType, Status, status_of

log = logging.getLogger("trainbridge")

BUFFER_BYTES = 64 << 20
CLOSE_SECONDS = 10.0
STOP_SECONDS = 0.8
"""How much longer than it was given the end of a session may take: for its threads, and for the disk."""

LAST_WORD_SECONDS = 0.2
"""How long a bridge that has everything may take to end the stream."""

COLLECT_SHARE = 0.5
"""Of that, so much is left to the numbers that have not been encoded yet, where a spool keeps them."""

PAUSE_WITHOUT_BRIDGE_SECONDS = 600.0
"""A paused loop goes on when the bridge, which alone could say so, has been away for so long."""


class Transport(Protocol):
    """Delivers what is in an outbox."""

    server_config: ServerConfig
    session_id: str
    lost_at: float | None

    def run(self) -> None:
        """Deliver until the outbox is done, or `stop`."""

    def hurry(self) -> None:
        """Do not wait for anything but an answer."""

    def stop(self) -> None:
        """Give up at once."""


class Bridge(Protocol):
    """A bridge in this process, in place of an address: see bridge.client.testing."""

    def connect(
        self, identity: Identity, outbox: Outbox, commands: CommandInbox, stats: Stats
    ) -> Transport:
        """Return the transport of one session."""


class TrainingSession:
    """One training run, told to a bridge while it goes on.

    Nothing here waits for the bridge or raises, once constructed: what the loop says is kept and sent
    by threads of the SDK's own. What arrives is what was true at the call, whatever the loop overwrites
    afterwards: what will be sent is copied at the call, and by the GPU itself where it lies on one. Calls
    of one session come from one thread at a time.
    """

    def __init__(  # noqa: PLR0913 -- each is one thing to say about a run, and all have defaults
        self,
        address: "str | Bridge" = "",
        *,
        model: str = "",
        dataset: str = "",
        epochs: int = 0,
        batches_per_epoch: int = 0,
        batch_size: int = 0,
        class_names: Iterable[str] = (),
        session_id: str = "",
        labels: Mapping[str, str] | None = None,
        client_name: str = "trainbridge-python",
        client_version: str = __version__,
        buffer_bytes: int = BUFFER_BYTES,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_bytes: int = 0,
        close_seconds: float = CLOSE_SECONDS,
        ranks: Ranks = "zero",
        gpus: Gpus = "visible",
        strict: bool = False,
        token: str = "",
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
    ) -> None:
        """Describe the run, and start sending; see docs/sdk.md for every argument.

        Raises ValueError for an address, session_id or spool_bytes that cannot be one, OSError for a
        credential file that cannot be read and a spool_dir that cannot be used. Never waits for the bridge.
        """
        config = RunConfig(
            text(model), text(dataset), int(epochs), int(batches_per_epoch), int(batch_size),
            tuple(text(name) for name in class_names),
        )  # fmt: skip
        self._rank = RankCheck(ranks)
        process = self._rank.process
        name = session_name(session_id, model, process, ranks)
        identity = Identity(
            name, uuid4().hex, text(client_name), text(client_version), config,
            _labels(labels, process, ranks, name), started_ms=now_ms(),
        )  # fmt: skip
        goal = (
            destination(
                address, token=token, ca_file=ca_file, cert_file=cert_file, key_file=key_file
            )
            if isinstance(address, str)
            else address
        )
        spool = spool_location(os.fspath(spool_dir or ""), spool_bytes)
        self._stats = Stats()
        self._notices = Notices()
        self._close_seconds = close_seconds
        self._started = False
        self._is_pausing = False
        self._over = False
        self._is_closing = False
        self._queue = CallQueue(buffer_bytes)
        self._outbox = Outbox(buffer_bytes, self._stats)
        self._accounts = (LeftOut(strict=strict), LeftOut(), LeftOut())
        """What the loop's calls have left out, what the SDK's thread has, and what the end has."""
        self._capture = Capture(
            self._queue,
            buffer_bytes,
            server_config=lambda: self._transport.server_config,
            left_out=self._accounts[0],
            check=StrictCheck(config, lambda: self._transport.server_config).check
            if strict
            else None,
        )
        self._collector = Collector(
            self._queue,
            self._capture,
            self._outbox,
            config,
            server_config=lambda: self._transport.server_config,
            left_out=self._accounts[1],
            resources=ResourceMonitor(gpus=gpus),
        )
        self._commands = CommandInbox(
            self._answer, is_answer_pending=self._collector.is_answer_pending
        )
        self._transport = self._connected(goal, identity)
        self._threads: tuple[threading.Thread, ...] = ()
        self._spooling: Spooling | None = None
        if not self._rank.reports:
            self._become_inert()
            return
        if spool is not None:
            self._spooling = Spooling.beginning(
                *spool, identity, self._outbox, stats=self._stats, notices=self._notices
            )
        self._start()

    def log_batch(
        self,
        loss: Any,
        *,
        epoch: int,
        batch: int,
        images: Any = None,
        predictions: Any = None,
        ground_truth: Any = None,
        sample_count: int | None = None,
    ) -> None:
        """Tell of one training step; call it once for each, right after it.

        Args:
            loss: A number, or an array or tensor of one element; one on a GPU is copied by the GPU, which
                nobody waits for. None: not known.
            epoch: Counted from 0 or from 1.
            batch: Counted within the epoch.
            images: The batch as array or tensor (N,H,W), (N,H,W,C) or (N,C,H,W), or a list of arrays, of
                PIL images or of JPEG files as bytes; or one picture. The first 16 of some batches are sent:
                of those with the highest loss, and the first of each epoch.
            predictions: Logits or probabilities (N, classes), or classes (N,), or (classes, confidences).
            ground_truth: The true classes (N,), or one-hot rows.
            sample_count: Samples in the batch; else taken from what was given, or from batch_size.
        """
        if not self._started:
            self._begin()
        self._capture.batch(loss, epoch, batch, images, predictions, ground_truth, sample_count)
        if self._commands.pending:
            self._commands.run_pending()

    def log_epoch(
        self,
        epoch: int,
        *,
        loss: Any,
        accuracy: Any = None,
        validation_loss: Any = None,
        validation_accuracy: Any = None,
        learning_rate: Any = None,
    ) -> None:
        """Report the end of an epoch; accuracies are 0..1, and None is not reported."""
        if not self._started:
            self._begin()
        self._capture.epoch(
            epoch, loss, accuracy, validation_loss, validation_accuracy, learning_rate
        )
        self._commands.end_epoch()

    def log_scalars(
        self, values: Mapping[str, Any], *, epoch: int | None = None, batch: int | None = None
    ) -> None:
        """Report any numbers by name; without epoch and batch, those of the last batch."""
        if not self._started:
            self._begin()
        last_epoch, last_batch = self._capture.position
        self._capture.scalars(
            values,
            last_epoch if epoch is None else epoch,
            last_batch if batch is None else batch,
        )

    def log_status(self, status: Status, message: str = "") -> None:
        """Tell what the run is doing; COMPLETED and FAILED end the session, and `close` sends them by itself."""
        if self._over:
            return
        try:
            call = StatusCall(time.monotonic(), status_of(status), text(message))
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._accounts[0].add("statuses", Reason.UNREADABLE, error=error)
            return
        self._over = call.status.is_end
        self._queue.put(call)

    @property
    def should_stop(self) -> bool:
        """Whether somebody has asked training to stop; a loop that asks should then break.

        Only rank 0 is answered; where several ranks train together, call `agree_to_stop` on each.
        """
        self._rank.warn_alone("should_stop")
        return self._commands.acknowledge_stop()

    def agree_to_stop(self) -> bool:
        """Return rank 0's `should_stop` on every rank, and hold all of them while rank 0 is paused.

        A collective over torch's default process group: every rank has to call it at the same step, and
        waits as long as the group's timeout for one that does not. Without a group it is `should_stop`
        behind `wait_while_paused`.
        """
        if wait_together(self._commands.acknowledge_pause, self._pause):
            self._go_on()
        return agree(self._commands.acknowledge_stop())

    def wait_while_paused(self) -> None:
        """Return at once, or, when a pause has been commanded, when training may go on.

        It goes on at a command to resume or to stop, when the session is closed, or when the bridge has
        been out of reach for ten minutes.
        """
        self._rank.warn_alone("wait_while_paused")
        if self._commands.acknowledge_pause():
            self._pause(math.inf)
            self._go_on()

    def on(self, type: CommandType, callback: Callback) -> None:
        """Call `callback(parameters)` when such a command comes, in this thread, at the end of a log_batch.

        The answer goes back by itself: refused where it returns False or raises, else applied, with the
        text it returns, if any.
        """
        self._commands.on(type, callback)

    @property
    def session_id(self) -> str:
        """The name of the session at the bridge."""
        return self._transport.session_id

    @property
    def stats(self) -> Stats:
        """What has been sent, acknowledged and lost so far."""
        return self._outbox.stats(*self._accounts)

    def flush(self, timeout: float = CLOSE_SECONDS) -> int:
        """Wait until the bridge has everything said so far, or the timeout in seconds.

        Returns the number of messages that it has not.
        """
        deadline = time.monotonic() + _seconds(timeout)
        self._settle()
        if not self._threads or self._is_closing:
            return 0
        handed_on = threading.Event()
        self._queue.put(FlushCall(time.monotonic(), handed_on))
        self._collector.poke()
        waiting = 0
        if not handed_on.wait(deadline - time.monotonic()):
            waiting = max(0, len(self._queue) + self._collector.in_hand - 1)
        return waiting + self._outbox.wait(deadline, until_finished=False)

    def close(self, timeout: float | None = None) -> int:
        """End the session, as COMPLETED if nothing else was said, and wait until all is delivered.

        Waits for `timeout` seconds (`close_seconds` if None), and a second more at most where something
        does not end in time. Returns the number of messages that were not delivered by then: they are
        lost, but for those that a spool keeps, `stats.kept`. What interrupts it (Ctrl-C, a signal handler
        that raises) ends the waiting. Calling it again does nothing.
        """
        self.log_status(
            Status.COMPLETED, "stopped by command" if self._commands.is_stopping else ""
        )
        return self._close(self._close_seconds if timeout is None else timeout)

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the session: COMPLETED, or FAILED with the type and message of what was raised."""
        self._end(error)
        self._close(self._close_seconds)

    def after_fork_in_child(self) -> None:
        """Become inert, and free nothing; called in child processes."""
        self._inherited = (self._queue.close(), self._commands, self._outbox)
        self._outbox = Outbox(BUFFER_BYTES, self._stats)  # the lock of the other may be held
        self._commands = CommandInbox(lambda *_: None)
        self._threads = ()
        self._over = True
        if self._spooling is not None:
            self._spooling.after_fork_in_child()

    def before_exit(self, error: BaseException | None) -> None:
        """Begin to close; called when the interpreter ends."""
        if not self._is_closing:
            self._settle()
            self._end(error)
            self._commands.close()
            self._collector.finish(min(process_hooks.EXIT_SECONDS, self._close_seconds))
            self._transport.hurry()

    def at_exit(self, seconds: float) -> None:
        """Close; called when the interpreter ends."""
        if self._is_closing:  # that was interrupted, or goes on in a thread that will not end it
            self._stop(time.monotonic())
        else:
            self._close(min(seconds, self._close_seconds))

    def _connected(self, goal: "Destination | Bridge", identity: Identity) -> Transport:
        if not isinstance(goal, Destination):
            return goal.connect(identity, self._outbox, self._commands, self._stats)
        return Connection(
            goal, identity, self._outbox, self._commands, stats=self._stats, notices=self._notices
        )

    def _start(self) -> None:
        if self._spooling is not None:
            self._spooling.start()
        self._queue.put(StatusCall(time.monotonic(), Status.INITIALIZING, ""))
        self._threads = (
            threading.Thread(
                target=self._run,
                args=(self._collector.run,),
                name="trainbridge-collect",
                daemon=True,
            ),
            threading.Thread(
                target=self._run, args=(self._transport.run,), name="trainbridge-send", daemon=True
            ),
        )
        for thread in self._threads:
            thread.start()
        process_hooks.register(self)

    def _run(self, work: Callable[[], None]) -> None:
        """Work once it is known that this rank reports, if it does."""
        if self._rank.wait():
            work()

    def _settle(self) -> None:
        """Become inert where training has turned out to have a rank 0 that is another process."""
        if self._threads and not self._rank.settle():
            process_hooks.unregister(self)
            self._become_inert()

    def _become_inert(self) -> None:
        self._threads = ()
        self.after_fork_in_child()
        self._capture.close()

    def _pause(self, seconds: float) -> None:
        """Wait until training may go on, or for so many seconds."""
        if not self._is_pausing:
            self._is_pausing = True
            self.log_status(Status.PAUSED)
        deadline = time.monotonic() + seconds
        self._commands.wait_while_paused(self._is_forsaken, lambda: time.monotonic() >= deadline)

    def _go_on(self) -> None:
        if not self._is_pausing:
            return
        self._is_pausing = False
        self._queue.put(ResumedCall(time.monotonic()))
        if not self._commands.is_stopping:
            self.log_status(Status.RUNNING)

    def _begin(self) -> None:
        self._settle()
        self._started = True
        if self._queue.is_closed:
            return
        self._collector.note_cuda_devices()
        self.log_status(Status.RUNNING)

    def _answer(self, command: Command, applied: bool, remark: str) -> None:  # noqa: FBT001
        log.info("command %s %s %s", command.type.name, "applied" if applied else "refused", remark)
        if command.id:
            command.answered_at = command.answered_at or self._capture.position
            self._queue.put(
                AnswerCall(time.monotonic(), command.id, applied, remark, *command.answered_at)
            )

    def _is_forsaken(self) -> bool:
        """Tell whether nobody is left who could end a pause."""
        lost_at = self._transport.lost_at
        away = lost_at is not None and time.monotonic() - lost_at > PAUSE_WITHOUT_BRIDGE_SECONDS
        return away or self._over

    def _end(self, error: BaseException | None) -> None:
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.log_status(
                Status.COMPLETED, "stopped by command" if self._commands.is_stopping else ""
            )
        else:
            self.log_status(Status.FAILED, _told(error))

    def _close(self, timeout: float) -> int:
        self._settle()
        if not self._threads or self._is_closing:
            return 0
        self._is_closing = True
        timeout = _seconds(timeout)
        deadline = time.monotonic() + timeout
        try:
            self._commands.close()
            self._collector.finish(timeout)
            self._transport.hurry()
            self._outbox.wait(deadline, until_finished=True)
        finally:  # an interrupt gives up the rest, and must leave no thread behind
            left = self._stop(time.monotonic())
        self._report(left)
        return left

    def _stop(self, now: float) -> int:
        """Take all threads out of what they do, within `STOP_SECONDS`; return how many messages are left."""
        if not self._threads:
            return 0
        deadline = now + STOP_SECONDS
        collecting, sending = self._threads
        self._collector.skip_images()
        if self._outbox.is_done:
            sending.join(LAST_WORD_SECONDS)  # the bridge may still report what became of images
        self._transport.stop()
        if self._spooling is not None:
            collecting.join(STOP_SECONDS * COLLECT_SHARE)
        self._collector.stop()
        self._outbox.abandon()
        abandoned = self._collector.abandon(self._accounts[2])
        if self._spooling is None:
            collecting.join(max(0.0, deadline - time.monotonic()))
        left = self._outbox.wait(0.0, until_finished=False) + self._collector.in_hand
        if self._spooling is not None:
            self._spooling.close(max(0.0, deadline - time.monotonic()))
        sending.join(max(0.0, deadline - time.monotonic()))
        self._capture.wait_for_caller(deadline)
        self._capture.close()
        if self._capture.was_interrupted and not collecting.is_alive():
            # Between two steps of one of those calls its images may have belonged to nobody.
            self._accounts[2].add("images", Reason.RAISED, max(0, self.stats.images_waiting))
        self._threads = ()
        process_hooks.unregister(self)
        return left + abandoned

    def _report(self, left: int) -> None:
        """Say what was lost, if anything was."""
        stats = self._stats
        if left or stats.dropped or stats.images_shed or stats.refused:
            log.warning(
                "session %s is over: %d messages not delivered, %d dropped, %d refused, %d images shed",
                self.session_id, left, stats.dropped, stats.refused, stats.images_shed,
            )  # fmt: skip
        if stats.kept and self._spooling is not None:
            log.warning(
                "%d messages are kept in the spool; deliver them with: trainbridge sync %s",
                stats.kept, self._spooling.root,
            )  # fmt: skip


def _labels(
    labels: Mapping[str, str] | None, process: ProcessRank, ranks: Ranks, name: str
) -> dict[str, str]:
    told = dict(labels or {})
    if ranks == "all":
        told |= {"rank": str(process.rank), "group": name.removesuffix(f"-rank{process.rank}")}
    return told


def _told(error: BaseException) -> str:
    """Return type and message of an exception, which may be of any making."""
    try:
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    except BaseException as fault:  # noqa: BLE001 -- its own text may raise
        let_through(fault)
        return type(error).__name__


def _seconds(timeout: float) -> float:
    """Return a timeout as threads take one: no less than 0, and no more than they can wait."""
    return min(timeout, threading.TIMEOUT_MAX / 2) if timeout > 0 else 0.0

"""The parts of a session and their threads: built, started, closed and stopped."""

import logging
import threading
import time
from contextlib import suppress

from bridge.client import process_hooks
from bridge.client.calls import AnswerCall, PositionCall, RestateCall, StatusCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.capture.capture import Capture
from bridge.client.capture.collector import Collector
from bridge.client.clock import waitable
from bridge.client.command import Command
from bridge.client.commands import CommandInbox
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.delivery.transport import InProcessBridge, transport_to
from bridge.client.endings import TerminatedError
from bridge.client.gate import Gate, Shut
from bridge.client.identity import Identity
from bridge.client.last_wait import wait_until_drained
from bridge.client.left_out import LeftOut
from bridge.client.light import REFUSAL, LightSteps
from bridge.client.options import Options
from bridge.client.phase_report import PhaseReport
from bridge.client.phases import PhaseClock
from bridge.client.ranks import RankCheck
from bridge.client.resource_usage import ResourceMonitor
from bridge.client.run_status import LET_GO, REPLACED, RunStatus
from bridge.client.settings import Destination
from bridge.client.spool.worker import SpoolWorker
from bridge.client.stats import Notices, Stats, log_losses
from bridge.client.strict import StrictCheck
from bridge.client.teardown import Parts, stop
from bridge.protocol import Status

log = logging.getLogger("trainbridge")

PAUSE_WITHOUT_BRIDGE_SECONDS = 600.0
"""A paused loop goes on when the bridge, which alone could resume it, has been away for so long."""


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
        *,
        is_copy: bool = False,
    ) -> None:
        """Build all parts, and start them where this process reports. Raises ValueError and OSError.

        Those of a copy of a session are never started.
        """
        self._rank = rank
        self._options = options
        self._stats = Stats()
        self._notices = Notices()
        self._accounts = (options.account, LeftOut(), LeftOut())
        """What the loop's calls have left out, what the SDK's thread has, and what the end has."""
        self._is_closing, self._left = False, 0
        self._is_let_go = False
        """Whether nobody waits for its end, which goes on in a thread of the SDK's own."""
        self._predecessors: tuple[Runtime, ...] = ()
        """Sessions of the same name in this process, which end before this one connects."""
        self._threads: tuple[()] | tuple[threading.Thread, threading.Thread] = ()
        self._spool: SpoolWorker | None = None
        self.gate = Gate(identity.session_id, self._accounts[0])
        self.queue = CallQueue(options.buffer_bytes)
        self.status = RunStatus(self.queue, self._accounts[0])
        self.phases = PhaseClock(self._accounts[0])
        self._outbox = Outbox(options.buffer_bytes, self._stats)
        strict = options.account.is_strict
        check = StrictCheck(identity.config, lambda: self.transport).check if strict else None
        self._resources = ResourceMonitor(gpus=options.gpus)
        self.capture = Capture(
            self.queue,
            options.buffer_bytes,
            server_config=self._server_config,
            left_out=self._accounts[0],
            check=check,
        )
        self.collector = Collector(
            self.queue,
            self.capture,
            self._outbox,
            identity.config,
            server_config=self._server_config,
            left_out=self._accounts[1],
            resources=self._resources,
            phases=PhaseReport(self.phases.read),
        )
        self.commands = CommandInbox(
            self._answer,
            is_answer_pending=self.collector.is_answer_pending,
            is_together=lambda: rank.is_together,
            position=lambda: self.calls.position,
        )
        self.calls: Capture | LightSteps = self.capture
        """What takes the loop's calls."""
        self._identity = identity
        self.transport = transport_to(
            bridge,
            identity,
            self._outbox,
            self.commands,
            stats=self._stats,
            notices=self._notices,
            on_state_lost=self._restate,
        )
        self.key = (identity.run_id or identity.session_id, bridge)
        """Equal for sessions that one bridge takes for the same."""
        if is_copy:
            self._become_inert(Shut.COPIED)
        elif rank.reports:
            self._lighten()
            self._start(identity)
        else:
            self._become_inert(Shut.OTHER_RANK)

    @property
    def session_id(self) -> str:
        """The name of the session at the bridge."""
        return self.transport.session_id

    def stats(self) -> Stats:
        """Return what has been sent, acknowledged and lost so far."""
        return self._outbox.stats(*self._accounts)

    def admit(self, what: str) -> bool:
        """Return whether a call of the loop is taken; the first one reports that training runs."""
        if not self.gate.admits(what):
            return False
        self._settle()
        if self._threads:
            self._resources.record_cuda_devices()
            self.phases.begin_training()
            self.status.report(Status.RUNNING)
            self.gate.open()
        return self.gate.is_open

    def report_end(self, error: BaseException | None) -> None:
        """Report COMPLETED, or FAILED with the type and message of what was raised."""
        self.status.report_end(error, is_stopped=self.commands.has_stopped)

    def is_abandoned(self) -> bool:
        """Return whether nobody is left who could end a pause."""
        disconnected_since = self.transport.disconnected_since
        away = (
            disconnected_since is not None
            and time.monotonic() - disconnected_since > PAUSE_WITHOUT_BRIDGE_SECONDS
        )
        return away or self.status.is_over

    def flush(self, timeout: float) -> int:
        """Wait until all that was logged is delivered, or the timeout; return how many messages are not."""
        deadline = time.monotonic() + waitable(timeout)
        self._settle()
        if not self._threads or self._is_closing:
            return self._left
        return self.queue.wait_until_taken(deadline) + self._outbox.wait_until_delivered(deadline)

    def close(self, timeout: float | None = None) -> int:
        """Deliver what there is, for `timeout` seconds, and stop; return how many messages are left."""
        self._settle()
        if not self._threads or self._is_closing:
            return self._left
        self._is_closing = True
        self.gate.shut(Shut.CLOSED)
        timeout = waitable(self._options.close_seconds if timeout is None else timeout)
        deadline = time.monotonic() + timeout
        try:
            self.commands.close()
            self._close_input(timeout)
            wait_until_drained(self._outbox, deadline, self.transport)
        finally:  # an interrupt gives up the rest, and must leave no thread behind
            self._left = self._stop()
        failure = self.transport.failure
        reason = failure.last_word if failure is not None else ""
        log_losses(self.session_id, self._stats, self._left, self._options.spool, reason)
        return self._left

    def give_way(self) -> None:
        """Close, as a new session in this process has the same name; called in a thread of that one."""
        self._is_let_go = True
        self.status.report_end(None, REPLACED)
        self.close()

    def let_go(self) -> None:
        """Begin to close, as the program has dropped the session.

        The garbage collector calls this, in any thread and inside of any lock, so it takes none itself.
        """
        if self._threads and not self._is_closing:
            self._is_let_go = True
            self.status.report_end(None, LET_GO)
            self.queue.close()

    def after_fork_in_child(self) -> None:
        """Become inert, and free nothing; called in child processes."""
        self._become_inert(Shut.FORKED)

    def before_exit(self, error: BaseException | None) -> None:
        """Begin to close; called when the interpreter ends."""
        if self._is_closing:
            # Below a signal handler that ends the process, nobody waits for that any more.
            self._is_let_go |= isinstance(error, TerminatedError)
        else:
            self._settle()
            self.report_end(error)
            self.gate.shut(Shut.CLOSED)
            self.commands.close()
            self._close_input(min(process_hooks.EXIT_SECONDS, self._options.close_seconds))

    def at_exit(self, seconds: float) -> None:
        """Close; called when the interpreter ends."""
        if self._is_closing:  # that was interrupted, or goes on in a thread that will not end it
            if self._is_let_go:
                self._outbox.wait_until_drained(time.monotonic() + seconds)
            self._stop()
        else:
            self.close(min(seconds, self._options.close_seconds))

    def _server_config(self) -> ServerConfig:
        return self.transport.server_config

    def _restate(self) -> None:
        """Say again what a bridge without the old state would never learn; behind what it is sent again."""
        now = time.monotonic()
        self.queue.put(RestateCall(now))
        self.queue.put(PositionCall(now))

    def _start(self, identity: Identity) -> None:
        if self._options.spool is not None and not self._rank.is_light:
            self._spool = SpoolWorker.create(
                *self._options.spool,
                identity,
                self._outbox,
                stats=self._stats,
                notices=self._notices,
            )
            self._spool.start()
        self._options.part.begin(identity.session_id, self._spool.path if self._spool else None)
        self.queue.put(StatusCall(time.monotonic(), Status.INITIALIZING, ""))
        self._replace_namesakes()
        self._threads = (
            self._rank.thread("trainbridge-collect", self._collect),
            self._rank.thread("trainbridge-send", self._deliver),
        )
        for thread in self._threads:
            thread.start()
        process_hooks.register(self)

    def _collect(self) -> None:
        self.collector.run()
        if self._is_let_go:
            with suppress(RuntimeError):  # the interpreter is ending, and closes it
                self._rank.thread("trainbridge-close", self.close).start()

    def _deliver(self) -> None:
        for predecessor in self._predecessors:
            predecessor.give_way()
        self._predecessors = ()
        self.transport.identify(self._rank.identify(self._identity))
        self.transport.run()

    def _replace_namesakes(self) -> None:
        """Take the place of sessions of the same name, as where the cell of a notebook is run again."""
        self._predecessors = tuple(
            session
            for session in process_hooks.registered()
            if isinstance(session, Runtime) and session.key == self.key
        )
        for session in self._predecessors:
            session.gate.shut(Shut.REPLACED)

    def _settle(self) -> None:
        """Become inert where training has turned out to have a rank 0 that is another process."""
        if self._threads and not self._rank.settle():
            process_hooks.unregister(self)
            self._become_inert(Shut.OTHER_RANK)
        self._lighten()

    def _lighten(self) -> None:
        """Only count and time the loop's steps, where this rank reports lightly."""
        if self._rank.is_light and self.calls is self.capture:
            self.calls = LightSteps(self.capture.next_step)
            self.collector.follow(self.calls)
            self.commands.refusal = REFUSAL

    def _become_inert(self, why: Shut) -> None:
        """Do nothing any more, and free nothing: a fork may have copied locks that threads held."""
        self.gate.shut(why)
        self._inherited, self._stats = (self.queue.abandon(), self._outbox), Stats()
        for account in self._accounts:
            account.reset()
        self._outbox = Outbox(self._options.buffer_bytes, self._stats)
        self.commands.after_fork_in_child()
        self._threads = ()
        self.status.is_over = True
        if self._spool is not None:
            self._spool.after_fork_in_child()
        if why is not Shut.FORKED:
            self._options.part.leave()
            self.capture.close()

    def _answer(self, command: Command, applied: bool, remark: str) -> None:  # noqa: FBT001
        log.info("command %s: %s %s", command.type.name, ("refused", "applied")[applied], remark)
        if command.id:
            epoch, batch, step = self.calls.position
            command.answered_at = command.answered_at or (epoch, step if epoch is None else batch)
            self.queue.put(
                AnswerCall(time.monotonic(), command.id, applied, remark, *command.answered_at)
            )

    def _close_input(self, seconds: float) -> None:
        """Take nothing more in: each stage passes on what it has, closes the next one's input, and ends."""
        self.collector.deadlines.end_within(seconds)
        self.queue.close()
        self.transport.skip_backoff()

    def _stop(self) -> int:
        """Stop all parts; return how many messages are left."""
        if not self._threads:
            return 0
        parts = Parts(
            self.queue,
            self.capture,
            self.collector,
            self._outbox,
            self.transport,
            self._spool,
            self._accounts,
        )
        left = stop(parts, *self._threads)
        self._threads = ()
        process_hooks.unregister(self)
        if self.status.end is not None and (not left or self._stats.kept):
            self._options.part.end(self.status.end)
        return left

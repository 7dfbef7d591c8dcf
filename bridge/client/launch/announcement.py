"""The session of a run before its program has one, and after: announced as it starts, ended where nobody else has."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from bridge import __version__
from bridge.client.calls import StatusCall
from bridge.client.clock import now_ms
from bridge.client.commands import CommandInbox
from bridge.client.delivery.connection import Connection
from bridge.client.delivery.message import OutgoingMessage
from bridge.client.delivery.outbox import Outbox
from bridge.client.encoding.encoder import Encoder
from bridge.client.identity import Identity, RunConfig
from bridge.client.launch.run_folder import Run
from bridge.client.left_out import LeftOut
from bridge.client.settings import Destination
from bridge.client.stats import Notices, Stats
from bridge.protocol import Status
from bridge.wire import metrics_pb2 as wire

CLIENT_NAME = "trainbridge-run"
BUFFER_BYTES = 1 << 20
STOP_SECONDS = 5.0
POLL_SECONDS = 0.05


def identity_of(run: Run, started_ms: int) -> Identity:
    """Return as whom a run registers that has no session of its own yet."""
    return Identity(
        run.session_id,
        run.instance_id,
        CLIENT_NAME,
        __version__,
        RunConfig(),
        run.labels,
        started_ms=started_ms,
        run_id=run.session_id,
    )


class RunConnection:
    """A connection that has one status to report, and heartbeats."""

    def __init__(
        self,
        destination: Destination,
        identity: Identity,
        *,
        is_succeeded: Callable[[], bool] = lambda: False,
    ) -> None:
        """Connect to nothing yet; once `is_succeeded`, the session is the program's own."""
        self._identity = identity
        self.stats = Stats()
        self.outbox = Outbox(BUFFER_BYTES, self.stats)
        self.connection = Connection(
            destination,
            identity,
            self.outbox,
            CommandInbox(lambda *_: None),  # they wait at the bridge for the program's own session
            stats=self.stats,
            notices=Notices(),
            is_succeeded=is_succeeded,
        )
        self._thread = threading.Thread(
            target=self.connection.run, name="trainbridge-send", daemon=True
        )

    def announce(self) -> None:
        """Say that the run begins, and stay connected.

        Without a sequence, so that the first message of the program's own session is the first of all. No bridge acknowledges
        such a message: it is said again at each connection.
        """
        message = self._encoded(StatusCall(0.0, Status.INITIALIZING, ""), last=0)
        request = wire.MetricsRequest.FromString(message.body)
        request.sequence = 0
        message.body = request.SerializeToString()
        self.outbox.put([message])
        self._thread.start()

    def end(self, end: StatusCall, seconds: float) -> bool:
        """Report how the run has ended, for so many seconds; return whether the bridge has it."""
        deadline = time.monotonic() + seconds
        self.connection.skip_backoff()
        self._thread.start()
        while not self.stats.connections:  # only a bridge knows which sequence comes next
            if time.monotonic() > deadline or not self._thread.is_alive():
                return False
            time.sleep(POLL_SECONDS)
        self.outbox.put([self._encoded(end, last=self.outbox.acked_through)])
        self.outbox.close()
        return not self.outbox.wait_until_drained(deadline)

    def stop(self) -> None:
        """Leave the session to others, or to itself."""
        self.connection.stop()
        self.outbox.abandon()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def _encoded(self, call: StatusCall, last: int) -> OutgoingMessage:
        return Encoder(self._identity.config, LeftOut(), last=last).status(call, now_ms())


def report_end(
    destination: Destination, identity: Identity, end: StatusCall, seconds: float
) -> bool:
    """Report the end of a run whose program is gone, for so many seconds; return whether the bridge has it."""
    connection = RunConnection(destination, replace(identity, is_left_over=True))
    try:
        return connection.end(end, seconds)
    finally:
        connection.stop()

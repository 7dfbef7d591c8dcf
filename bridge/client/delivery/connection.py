"""The connection to a real bridge: register, stream, and start over whenever it breaks."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from platform import python_version

import grpc

from bridge.backoff import backoff_seconds
from bridge.client.address import web_address
from bridge.client.commands import CommandInbox
from bridge.client.credentials import is_header_value
from bridge.client.delivery.attempts import Attempts
from bridge.client.delivery.channel import Metadata, open_channel
from bridge.client.delivery.failure import ConnectionFailure, failure_from
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.registration import register
from bridge.client.delivery.responses import ResponseDispatcher
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.delivery.stream import MetricsStream
from bridge.client.identity import Identity
from bridge.client.process_hooks import GRPC_USE
from bridge.client.settings import Destination
from bridge.client.stats import Notices, Stats
from bridge.protocol import SENT_BY_ANOTHER, TOKEN_HEADER

log = logging.getLogger("trainbridge")

SESSION_HEADER = "trainbridge-session"

LIVE = "Training goes on, and its messages are kept and sent later"

LEFT_OVER = "What its process has left stays in its spool until it is delivered"

ONE_NAME = (
    "if it is the same run, wait: this process is let in when the other is gone; else give each process a"
    " session_id of its own, or none, or end the other one"
)

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 30.0
REJECTED_SECONDS = 1.0
"""The longest pause at the end of a run, where a bridge does not let it in: it need not be asked five times a second."""

TOKEN_POLL_SECONDS = 0.5
"""How soon a renewed token is used."""

LONGEST_HELD_SECONDS = 120.0
"""A bridge that says that a name is held for longer is asked earlier: its holder may end any time."""
SMALLEST_MESSAGE_BYTES = 65_536

MISROUTED = (
    "one bridge registers the session and its stream reaches another; have the proxy or load balancer in"
    f" front of them send all calls with the same {SESSION_HEADER} header to the same bridge"
)

FORKED = (
    "this process was forked after its parent had connected a session, and gRPC does not work in such a"
    " child; start processes that have sessions of their own with multiprocessing's 'spawn', or fork them"
    " before the first session"
)

ENDING = (
    f"this process is ending, and Python {python_version()} starts no threads any more by then, which a"
    " connection needs; close the session, or leave its `with` block, before the program ends, or use"
    " another version than 3.12.0 to 3.12.2; a spool_dir keeps what could not be sent"
)

NO_THREADS = "at interpreter shutdown"
"""How the text ends of the RuntimeError of a Python that starts no threads while it ends."""


class Connection:
    """Delivers an outbox to a bridge, and its commands to the loop; runs in a thread of its own."""

    def __init__(
        self,
        destination: Destination,
        identity: Identity,
        outbox: Outbox,
        commands: CommandInbox,
        *,
        stats: Stats,
        notices: Notices,
        on_state_lost: Callable[[], None] = lambda: None,
        is_succeeded: Callable[[], bool] = lambda: False,
    ) -> None:
        """Connect to nothing yet.

        `on_state_lost` is called where a bridge lacks what was acknowledged before: it has lost its state,
        or is another one. Once `is_succeeded`, the session belongs to a connection of another process, and this one ends.
        """
        self.server_config = ServerConfig()
        self.session_id = identity.session_id
        self.attempt: int | None = None
        self.page_url: str | None = None
        self.disconnected_since: float | None = time.monotonic()
        """Monotonic; None while a stream is open."""
        self.failure: ConnectionFailure | None = None
        """Why the last attempt failed; None once a stream is open."""
        self._destination = destination
        self._identity = identity
        self._outbox = outbox
        self._stats = stats
        self._notices = notices
        self._on_state_lost = on_state_lost
        self._is_succeeded = is_succeeded
        self._responses = ResponseDispatcher(
            outbox, commands, stats=stats, notices=notices, on_sequences=self._use_sequences
        )
        self._stopping = threading.Event()
        self._backoff_skipped = threading.Event()
        self._channel: grpc.Channel | None = None
        self._stream_token = ""
        self._uses_frames = True
        self._heartbeats: Iterator[int] = count(1)
        self._largest_bytes: int | None = None
        self._attempts = Attempts()

    def identify(self, identity: Identity) -> None:
        """Register as this, as far as it is known now."""
        self._identity, self.session_id = identity, identity.session_id

    def run(self) -> None:
        """Deliver until the outbox is done, or `stop`; never raises."""
        if GRPC_USE.is_broken:
            self._give_up(FORKED)
            return
        attempts = self._attempts
        while not self._is_over():
            self._responses.begin_stream()
            attempts.begin()
            try:
                self._connect_once()
            except Exception as error:  # noqa: BLE001 -- whatever happens here, training goes on
                if isinstance(error, RuntimeError) and str(error).endswith(NO_THREADS):
                    self._give_up(ENDING)
                    return
                failure = failure_from(error, self._destination)
                if failure.is_rejection and self._uses_renewed_token():
                    continue
                self._on_failure(failure)
            if self._is_over():
                break
            attempts.end(has_worked=self._responses.has_acknowledged)
            self._back_off(attempts.failures)

    def skip_backoff(self) -> None:
        """Do not wait any longer before the next attempt: the run is over."""
        self._backoff_skipped.set()

    def stop(self) -> None:
        """Give up at once."""
        self._stopping.set()
        self._backoff_skipped.set()
        self._outbox.close_stream()
        channel = self._channel
        if channel is not None:
            channel.close()

    @property
    def _metadata(self) -> Metadata:
        """What goes with every call; the session's name, so that a proxy can route all of them to one bridge."""
        return (*self._destination.metadata, *_header(SESSION_HEADER, self.session_id))

    def _is_over(self) -> bool:
        return self._stopping.is_set() or self._outbox.is_done or self._is_succeeded()

    def _give_up(self, reason: str) -> None:
        """Log why nothing can be sent from this process any more, and keep nobody waiting for it."""
        self.failure = ConnectionFailure(reason, is_refusal=False)
        self._notices.log_once(
            reason, f"nothing is sent to the bridge at {self._destination.target}: {reason}"
        )
        self._outbox.give_up()

    def _back_off(self, failures: int) -> None:
        """Wait before the next attempt, longer after each failure, and as long as a bridge asks for."""
        responses = self._responses
        held_seconds = self.failure.retry_after_seconds if self.failure is not None else 0.0
        wait_seconds = responses.reconnect_after_seconds + backoff_seconds(
            0 if held_seconds else failures,
            first_seconds=FIRST_BACKOFF_SECONDS,
            longest_seconds=LONGEST_BACKOFF_SECONDS,
        )
        wait_seconds += min(held_seconds, LONGEST_HELD_SECONDS)
        responses.reconnect_after_seconds = 0.0
        if not self._backoff_skipped.is_set():
            self._pause(self._backoff_skipped, wait_seconds)
        else:
            longest_seconds = REJECTED_SECONDS if self._is_rejected else FIRST_BACKOFF_SECONDS
            self._pause(self._stopping, min(wait_seconds, longest_seconds))

    @property
    def _is_rejected(self) -> bool:
        return self.failure is not None and self.failure.is_rejection

    def _pause(self, end: threading.Event, seconds: float) -> None:
        """Wait for so long, or until `end`; where the bridge has not let the token in, until there is another one."""
        if not self._is_rejected:
            end.wait(seconds)
            return
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if end.wait(min(left, TOKEN_POLL_SECONDS)) or self._uses_renewed_token():
                return

    def _uses_renewed_token(self) -> bool:
        """Read the file of the token again; return whether it has another one than the bridge was shown."""
        token = self._destination.token
        is_renewed = token.refresh()
        if is_renewed:
            self._attempts.forget_reasons()  # what is said of this one is new
            log.info(
                "session %s: there is another token in %s, which is used now",
                self.session_id,
                token.source,
            )
        return is_renewed

    def _connect_once(self) -> None:
        """Register and stream once, on a new channel: an old one remembers its failures."""
        self._destination.token.refresh()
        GRPC_USE.note_channel()
        channel = open_channel(self._destination)
        self._channel = channel
        can_close = True
        try:
            if not self._stopping.is_set():
                self._register(channel)
                self._stream(channel)
        except RuntimeError:
            can_close = False  # gRPC could not start a thread, for which closing would wait forever
            raise
        finally:
            self._stats.connected = False
            if self.disconnected_since is None:
                self.disconnected_since = time.monotonic()
            self._channel = None
            if can_close:
                channel.close()

    def _register(self, channel: grpc.Channel) -> None:
        response = register(channel, self._identity, self.session_id, self._metadata)
        self.session_id = response.session_id or self.session_id
        self._stream_token = response.stream_token
        config = ServerConfig.from_wire(response.server_config)
        if self._largest_bytes is not None:
            config = replace(config, message_bytes=min(config.message_bytes, self._largest_bytes))
        self.server_config = config
        self._responses.uses_sequences = config.uses_sequences
        self.page_url = web_address(response.page_url) or self.page_url
        self.attempt = response.attempt or self.attempt
        if config.uses_sequences and response.resume_sequence < self._outbox.acked_through:
            self._on_state_lost()
        self._outbox.acknowledge(response.resume_sequence)

    def _stream(self, channel: grpc.Channel) -> None:
        """Stream in frames of many messages, or one by one where the bridge does not know frames."""
        try:
            self._stream_once(channel)
        except grpc.RpcError as error:
            if not self._uses_frames or error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                self._reduce_message_bytes(error)
                raise
            self._uses_frames = False
            self._stream_once(channel)

    def _stream_once(self, channel: grpc.Channel) -> None:
        stream = MetricsStream(
            self._outbox,
            self._responses,
            session_id=self.session_id,
            server_config=lambda: self.server_config,
            uses_frames=self._uses_frames,
            heartbeats=self._heartbeats,
            stats=self._stats,
        )
        stream.open(channel, (*self._metadata, *_header(TOKEN_HEADER, self._stream_token)))
        self._on_connected()
        stream.run()

    def _use_sequences(self) -> None:
        self.server_config = replace(self.server_config, uses_sequences=True)

    def _reduce_message_bytes(self, error: grpc.RpcError) -> None:
        """Send smaller messages to a bridge that has refused one for its size."""
        is_too_large = "larger than max" in (error.details() or "")
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and is_too_large:
            smaller = max(SMALLEST_MESSAGE_BYTES, self.server_config.message_bytes // 2)
            self._largest_bytes = smaller
            log.warning("the bridge refuses large messages; from now on at most %d bytes", smaller)

    def _on_connected(self) -> None:
        self._stats.connections += 1
        self._stats.connected = True
        self.disconnected_since = None
        self.failure = None
        self._stats.refusal = ""
        log.info("session %s streams to %s", self.session_id, self._destination.target)

    def _on_failure(self, failure: ConnectionFailure) -> None:
        if self._stopping.is_set() or self._is_succeeded():
            return
        if self._responses.is_unknown_here and self._attempts.failures:
            failure = replace(failure, reason=f"{MISROUTED} ({failure.reason})")
        is_held = failure.retry_after_seconds > 0 or failure.reason == SENT_BY_ANOTHER
        if is_held and not self._identity.is_left_over:
            failure = replace(failure, reason=f"{failure.reason}; {ONE_NAME}")
        self.failure = failure
        self._stats.refusal = failure.reason if failure.is_refusal else ""
        if self._responses.has_acknowledged:
            self._attempts.forget_reasons()
        if self._attempts.is_new("held" if is_held else failure.kind):
            log.warning(
                "no connection to the bridge at %s: %s. %s",
                self._destination,
                failure.reason,
                LEFT_OVER if self._identity.is_left_over else LIVE,
            )


def _header(name: str, value: str) -> Metadata:
    """Return a header of what a bridge has given; none where no header can carry it."""
    return ((name, value),) if value and is_header_value(value) else ()

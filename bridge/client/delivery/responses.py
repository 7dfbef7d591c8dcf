"""What a bridge answers on a stream: acknowledgments, commands, errors, and that it is draining."""

import logging
from collections.abc import Callable
from typing import Any

from bridge.client.command import Command
from bridge.client.commands import CommandInbox
from bridge.client.delivery.failure import StreamBrokenError
from bridge.client.delivery.outbox import Outbox
from bridge.client.stats import Notices, Stats
from bridge.protocol import CommandType
from bridge.wire import metrics_pb2 as wire

log = logging.getLogger("trainbridge")

RETRY_SECONDS = 1.0
"""How long sending pauses where a bridge asks for a pause and does not say how long."""


class ResponseDispatcher:
    """Passes each response of a bridge to what it concerns: the outbox, the commands, the log."""

    def __init__(
        self,
        outbox: Outbox,
        commands: CommandInbox,
        *,
        stats: Stats,
        notices: Notices,
        on_sequences: Callable[[], None],
    ) -> None:
        """Pass on nothing yet; `on_sequences` is called when acknowledgments turn out to carry sequences."""
        self.uses_sequences = False
        """What the bridge's ServerConfig says; true anyway once an acknowledgment carries one."""
        self.has_acknowledged = False
        """The bridge has acknowledged something new on this stream."""
        self.is_unknown_here = False
        """The bridge that the stream has reached is not the one that has registered the session."""
        self.reconnect_after_seconds = 0.0
        """What a draining bridge asks for; whoever obeys it resets it."""
        self._outbox = outbox
        self._commands = commands
        self._stats = stats
        self._notices = notices
        self._on_sequences = on_sequences

    def begin_stream(self) -> None:
        """Begin to watch what a stream comes to."""
        self.has_acknowledged = self.is_unknown_here = False

    def dispatch(self, response: wire.MetricsResponse) -> None:
        """Dispatch one response. Raises StreamBrokenError where only a new stream helps."""
        kind = response.WhichOneof("payload")
        if kind is not None:
            _DISPATCH[kind](self, getattr(response, kind))

    def _on_ack(self, ack: wire.Acknowledgment) -> None:
        self._stats.images_kept += ack.images_kept
        self._stats.images_dropped += ack.images_dropped
        if ack.sequence:
            if not self.uses_sequences:
                self.uses_sequences = True
                self._on_sequences()
            self.has_acknowledged |= ack.sequence > self._outbox.acked_through
            self._outbox.acknowledge(ack.sequence)
        elif not self.uses_sequences:
            if not ack.success:
                self._notices.log_once("rejected", f"the bridge rejected batch {ack.batch_idx}")
            self.has_acknowledged = True
            self._outbox.acknowledge_batch(ack.batch_idx)

    def _on_command(self, command: wire.ControlCommand) -> None:
        try:
            kind = CommandType(command.type)
        except ValueError:
            log.warning("unknown command type %s", command.type)
            return
        log.info("received command %s", kind.name)
        self._commands.receive(Command(kind, dict(command.parameters), command.command_id))

    def _on_error(self, error: wire.ErrorResponse) -> None:
        name = wire.ErrorResponse.ErrorCode.Name(error.code) if error.code in _CODES else "ERROR"
        notice = f"the bridge says {name}: {error.message}"
        if error.code == wire.ErrorResponse.INVALID_SESSION:
            self.is_unknown_here = not self.has_acknowledged
            raise StreamBrokenError(notice)
        is_retry = error.code == wire.ErrorResponse.INTERNAL_ERROR and error.sequence
        if error.code == wire.ErrorResponse.BUFFER_FULL or (is_retry and error.retryable):
            self._notices.log_once(f"again {name}", notice)
            pause_seconds = error.retry_after_ms / 1000 or RETRY_SECONDS
            if not self._outbox.pause_and_rewind(error.sequence, pause_seconds):
                self.is_unknown_here = not self.has_acknowledged
                # Only a new stream may begin behind what it asks for.
                raise StreamBrokenError(notice)
            return
        self._notices.log_once(f"{name} {error.message[:40]}", notice)
        if error.code == wire.ErrorResponse.INVALID_DATA and error.sequence:
            self._outbox.mark_refused(error.sequence)

    def _on_draining(self, draining: wire.Draining) -> None:
        self.reconnect_after_seconds = draining.reconnect_after_ms / 1000
        self._outbox.close_stream()


_DISPATCH: dict[str, Callable[[ResponseDispatcher, Any], None]] = {
    "ack": ResponseDispatcher._on_ack,
    "command": ResponseDispatcher._on_command,
    "error": ResponseDispatcher._on_error,
    "draining": ResponseDispatcher._on_draining,
}

_CODES = set(wire.ErrorResponse.ErrorCode.values())

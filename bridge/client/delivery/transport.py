"""What delivers the messages of a session: a connection to a bridge, or a bridge in this process."""

from typing import Protocol, runtime_checkable

from bridge.client.commands import CommandInbox
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.identity import Identity
from bridge.client.stats import Stats


class Transport(Protocol):
    """Delivers what is in an outbox."""

    server_config: ServerConfig
    session_id: str
    disconnected_since: float | None

    def run(self) -> None:
        """Deliver until the outbox is done, or `stop`."""

    def skip_backoff(self) -> None:
        """Retry at once: the run is over, and nobody has time for a backoff."""

    def stop(self) -> None:
        """Give up at once."""


@runtime_checkable
class InProcessBridge(Protocol):
    """A bridge in this process, in place of an address: see bridge.client.testing."""

    def connect(
        self, identity: Identity, outbox: Outbox, commands: CommandInbox, stats: Stats
    ) -> Transport:
        """Return the transport of one session."""

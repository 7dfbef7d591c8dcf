"""What delivers the messages of a session: a connection to a bridge, or a bridge in this process."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from bridge.client.commands import CommandInbox
from bridge.client.delivery.connection import Connection
from bridge.client.delivery.failure import ConnectionFailure
from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.server_config import ServerConfig
from bridge.client.identity import Identity
from bridge.client.settings import Destination
from bridge.client.stats import Notices, Stats


class Transport(Protocol):
    """Delivers what is in an outbox."""

    server_config: ServerConfig
    session_id: str
    disconnected_since: float | None
    attempt: int | None
    """Which attempt of the session this is; None until a bridge has said so."""
    page_url: str | None
    """Where the session is in a browser; None until a bridge has said so."""
    failure: ConnectionFailure | None
    """Why the last attempt to connect has failed; None while there is a stream."""

    def identify(self, identity: Identity) -> None:
        """Take who registers, as far as it is known now; called before `run`."""

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


def transport_to(
    bridge: Destination | InProcessBridge,
    identity: Identity,
    outbox: Outbox,
    commands: CommandInbox,
    *,
    stats: Stats,
    notices: Notices,
    on_state_lost: Callable[[], None],
) -> Transport:
    """Return what delivers to a bridge; see `Connection`."""
    if not isinstance(bridge, Destination):
        return bridge.connect(identity, outbox, commands, stats)
    return Connection(
        bridge,
        identity,
        outbox,
        commands,
        stats=stats,
        notices=notices,
        on_state_lost=on_state_lost,
    )

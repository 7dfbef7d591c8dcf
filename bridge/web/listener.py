"""The HTTP sockets, bound before anything else is built, since links contain their port."""

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.sockets import BoundAddress, bound_sockets

BACKLOG = 1_024


@contextmanager
def bind_listener(address: str) -> Iterator[BoundAddress]:
    """Listen on host:port while the context lasts; raises SettingError when that fails."""
    with bound_sockets(address, "http_address") as bound:
        for each in bound.sockets:
            each.listen(BACKLOG)
        yield bound

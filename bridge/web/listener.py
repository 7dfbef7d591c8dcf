"""The HTTP socket, bound before anything else is built, since links contain its port."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bridge.addresses import join_address, split_address
from bridge.errors import SettingError

BACKLOG = 1_024


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket."""

    socket: socket.socket
    address: str
    """host:port, with the port that was bound."""


@contextmanager
def bind_listener(address: str) -> Iterator[Listener]:
    """Bind host:port while the context lasts; raises SettingError when that fails."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingError(
            f"http_address: {address!r} cannot be bound ({error.strerror or error})"
        ) from error
    with bound:
        yield Listener(bound, join_address(host, bound.getsockname()[1]))

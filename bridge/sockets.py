"""The sockets of an address: on each server of the bridge it means the same, and fails with the same words."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bridge.addresses import join_address, split_address
from bridge.errors import SettingError

ATTEMPTS = 5
"""A free port that is found for one address may be taken for another."""

NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)

Target = tuple[socket.AddressFamily, str]


@dataclass(frozen=True, slots=True)
class BoundAddress:
    """Where a server listens."""

    sockets: tuple[socket.socket, ...]
    """Bound, and not listening yet: several where a name has several addresses."""
    address: str
    """host:port as it was given, with the port that was bound."""


@contextmanager
def bound_sockets(address: str, setting: str) -> Iterator[BoundAddress]:
    """Bind host:port while the context lasts.

    0.0.0.0 is every IPv4 address of the machine, [::] every address, of IPv4 too; a name is all of its addresses.
    Raises SettingError with the cause and what to change in `setting`.
    """
    host, port = split_address(address)
    try:
        targets = _targets(host)
        with ExitStack() as stack:
            sockets = _bind(stack, targets, port)
            bound_port = sockets[0].getsockname()[1]
            yield BoundAddress(tuple(sockets), join_address(host, bound_port))
    except _BindError as error:
        raise SettingError(_sentence(error.reason, address, setting)) from error


class _BindError(Exception):
    """An address cannot be bound."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _targets(host: str) -> list[Target]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _BindError(error) from error
    return list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))


def _bind(stack: ExitStack, targets: list[Target], port: int) -> list[socket.socket]:
    """Return a socket for each target, all with the same port, which `stack` closes."""
    for attempt in range(ATTEMPTS):
        with ExitStack() as bound:
            try:
                sockets = _bind_all(bound, targets, port)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE or attempt == ATTEMPTS - 1:
                    raise _BindError(error) from error
                continue
            stack.enter_context(bound.pop_all())
            return sockets
    raise AssertionError("the last attempt returns or raises")


def _bind_all(stack: ExitStack, targets: list[Target], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, host in targets:
        try:
            sockets.append(stack.enter_context(_socket(family, host, port)))
        except OSError as error:
            # A name may have an address of a family that this machine does not have.
            if error.errno not in NO_IPV6:
                raise
            missing = error
            continue
        port = sockets[0].getsockname()[1]
    if missing is not None and not sockets:
        raise missing
    return sockets


def _socket(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    try:
        return _bound(family, host, port)
    except OSError as error:
        if host != "::" or error.errno not in NO_IPV6:
            raise
        return _bound(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 -- [::] where there is no IPv6


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        opened.bind((host, port))
    except BaseException:
        opened.close()
        raise
    return opened


def _sentence(error: OSError, address: str, setting: str) -> str:
    flag = f"{setting} (--{setting.replace('_', '-')})"
    if isinstance(error, socket.gaierror):
        return f"{setting} is {address}, whose host name is unknown: set {flag} to an address of this machine"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{setting} is {address}, where another program listens already: stop that program, or set"
                f" {flag} to another port; port 0 takes a free one"
            )
        case errno.EACCES:
            return (
                f"{setting} is {address}, a port that user {os.geteuid()} may not use: set {flag} to a port"
                " from 1024 up"
            )
        case errno.EADDRNOTAVAIL:
            return (
                f"{setting} is {address}, which is not an address of this machine: set {flag} to one, or to"
                " 0.0.0.0 for all of IPv4, or to [::] for all"
            )
    return f"{setting} is {address}, which cannot be used ({error.strerror or error}): set {flag} to another address"

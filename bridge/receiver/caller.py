"""Who makes a gRPC call, as far as its connection and its metadata show."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

import grpc.aio

from bridge.admission import Caller
from bridge.protocol import TOKEN_HEADER
from bridge.stream_proof import hash_of

LOOPBACK = "loopback"


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """Return who makes this call."""
    peer = unquote(context.peer() or "")
    connection = peer if peer.startswith(("ipv4:", "ipv6:")) else ""
    for key, value in context.invocation_metadata() or ():
        if key == TOKEN_HEADER and isinstance(value, str):
            return Caller(connection, _host_of(connection), hash_of(value))
    return Caller(connection, _host_of(connection))


def _host_of(connection: str) -> str:
    host = connection.partition(":")[2].rpartition(":")[0].strip("[]").partition("%")[0]
    if not host:
        return ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    address = getattr(address, "ipv4_mapped", None) or address
    return LOOPBACK if address.is_loopback else str(address)

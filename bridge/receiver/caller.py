"""Who makes a gRPC call, as far as its connection and its metadata show."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

import grpc.aio

from bridge.access import Authentication, Credentials, Role
from bridge.access.credentials import token_of
from bridge.access.identity import check_role
from bridge.admission import Caller
from bridge.protocol import TOKEN_HEADER
from bridge.stream_proof import hash_of

LOOPBACK = "loopback"

AUTHORIZATION = "authorization"
"""The metadata that holds a bearer token."""


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """Return who makes this call."""
    peer = unquote(context.peer() or "")
    connection = peer if peer.startswith(("ipv4:", "ipv6:")) else ""
    for key, value in context.invocation_metadata() or ():
        if key == TOKEN_HEADER and isinstance(value, str):
            return Caller(connection, _host_of(connection), hash_of(value))
    return Caller(connection, _host_of(connection))


async def authenticated(
    context: grpc.aio.ServicerContext[Any, Any], authentication: Authentication
) -> Caller:
    """Return who makes this call, with whose credentials; raises UnauthenticatedError, PermissionDeniedError."""
    caller = caller_of(context)
    identity = await authentication.identify(_credentials(context))
    check_role(identity, Role.INGEST, "report sessions")
    return replace(caller, identity=identity)


def _credentials(context: grpc.aio.ServicerContext[Any, Any]) -> Credentials:
    headers = context.invocation_metadata() or ()
    tokens = (
        token_of(value) for key, value in headers if key == AUTHORIZATION and isinstance(value, str)
    )
    return Credentials(next(tokens, ""), certificate_names(context))


def certificate_names(context: grpc.aio.ServicerContext[Any, Any]) -> tuple[str, ...]:
    """Return the URIs, the DNS names and the common name of a verified client certificate; () where none was shown."""
    shown = context.auth_context() or {}
    kinds = ("peer_uri", "peer_dns", "x509_common_name")
    return tuple(name.decode(errors="replace") for kind in kinds for name in shown.get(kind, ()))


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

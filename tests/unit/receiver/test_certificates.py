"""TLS on the gRPC server: who is let in, and what is known of them; with certificates and a real server."""

import asyncio
import json
import socket
import ssl
import warnings
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from support.certificates import Authority

from bridge.certificates import CertificateFiles
from bridge.receiver.caller import certificate_names
from bridge.receiver.certificates import Certificates
from bridge.telemetry import Telemetry

METHOD = "/tests/Names"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def show_names(_request, context):
    """Answer with the names of the caller's certificate."""
    return json.dumps(certificate_names(context)).encode()


@pytest.fixture
def authority(tmp_path):
    """Return an authority of the test's own."""
    return Authority(tmp_path / "certificates")


@pytest.fixture
async def served(authority):
    """Return a function that starts a server, and returns its port."""
    async with AsyncExitStack() as stack:

        async def start(clients=None):
            files = authority.issue("bridge")
            paths = CertificateFiles(files.certificate, files.key, clients)
            server = grpc.aio.server()
            handler = grpc.unary_unary_rpc_method_handler(show_names)
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler("tests", {"Names": handler}),)
            )
            credentials = Certificates(paths, Telemetry()).credentials()
            port = server.add_secure_port("127.0.0.1:0", credentials)
            await server.start()
            stack.push_async_callback(server.stop, None)
            return port

        yield start


@asynccontextmanager
async def channel(port, authority, shown=None):
    """Open a channel of a client that trusts an authority, with a certificate of its own or without."""
    pair = (
        (None, None) if shown is None else (shown.key.read_bytes(), shown.certificate.read_bytes())
    )
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes(), *pair)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as opened:
        yield opened


async def names_of(port, authority, shown=None):
    """Return the names by which a server knows a client; None: it does not let it in."""
    async with channel(port, authority, shown) as opened:
        call = opened.unary_unary(METHOD)(b"", timeout=60)
        code = await call.code()
        return None if code is UNAVAILABLE else json.loads(await call)


async def test_the_names_of_a_client_certificate(served, authority):
    """URIs, DNS names, common name, in this order."""
    port = await served(authority.file)
    uri, dns = "spiffe://cluster/ns/team-a/sa/trainer", ("a.example.org", "b.example.org")

    shown = authority.issue("trainer", uris=[uri], dns=dns)

    assert await names_of(port, authority, shown) == [uri, *dns, "trainer"]


async def test_a_certificate_is_not_asked_for_without_an_authority(served, authority):
    """A client's certificate means nothing where nobody vouches for it."""
    port = await served()

    assert await names_of(port, authority) == []
    assert await names_of(port, authority, authority.issue("trainer")) == []


async def test_a_renewed_authority_of_clients_is_used(served, authority, tmp_path):
    """Who was a stranger before is known, and the other way round."""
    other, clients = Authority(tmp_path / "other", "other"), tmp_path / "clients.pem"
    clients.write_bytes(authority.file.read_bytes())
    port = await served(clients)
    one, another = authority.issue("one"), other.issue("another")
    assert await names_of(port, authority, one) == ["one"]
    assert await names_of(port, authority, another) is None

    clients.write_bytes(other.file.read_bytes())

    assert await names_of(port, authority, another) == ["another"]
    assert await names_of(port, authority, one) is None


async def test_nothing_older_than_tls_1_2_is_spoken(served):
    """Who offers 1.1 alone is not let in."""
    port = await served()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():  # that it is deprecated is the point
        warnings.simplefilter("ignore")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    def offer():
        with (
            socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
            context.wrap_socket(plain) as secure,
        ):
            return secure.version()

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(offer)

"""TLS on the HTTP server, tried with sockets and certificates against a real one."""

import asyncio
import logging
import ssl
import warnings
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import pytest
from aiohttp import web
from support.certificates import Authority
from support.pages import deps_in
from support.waiting import until

from bridge.certificates import CertificateFiles
from bridge.errors import SettingError
from bridge.telemetry import Telemetry
from bridge.web import HttpConnectionLimits, HttpTls, bind_listener, build_app, serve_http
from bridge.web.client_certificate import certificate_names
from bridge.web.dependencies import DEPENDENCIES

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SLOW = 0.3


async def show_names(request):
    """Answer with the names of the client's certificate."""
    return web.json_response(certificate_names(request))


@pytest.fixture
def authority(tmp_path):
    """Return an authority of the test's own."""
    return Authority(tmp_path / "certificates")


@pytest.fixture
async def served(tmp_path, stored, authority):
    """Return a function that serves an app over TLS, and returns its dependencies and its port."""
    async with AsyncExitStack() as stack:

        async def start(files=None, *, clients=None, tls=True, **limits):
            deps, _ = deps_in(
                tmp_path, stored=stored, connection_limits=HttpConnectionLimits(**limits)
            )
            files = files or authority.issue("bridge")
            paths = CertificateFiles(files.certificate, files.key, clients, prefix="http_")
            app = build_app(deps)
            app.router.add_get("/names", show_names)
            listener = stack.enter_context(bind_listener("127.0.0.1:0"))
            spoken = HttpTls(paths, deps.telemetry) if tls else None
            await stack.enter_async_context(serve_http(app, listener, spoken))
            assert app[DEPENDENCIES] is deps
            return deps, int(listener.address.rpartition(":")[2])

        yield start


def client_context(authority, shown=None):
    """Return what a client that trusts an authority speaks TLS with, with a certificate of its own or without."""
    context = ssl.create_default_context(cafile=str(authority.file))
    if shown is not None:
        context.load_cert_chain(shown.certificate, shown.key)
    return context


def old_context():
    """Return what a client offers TLS 1.1 alone with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():  # that it is deprecated is the point
        warnings.simplefilter("ignore")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@asynccontextmanager
async def connected(port, context=None, sent=b""):
    """Open a connection and send something; it is closed at the end."""
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(sent)
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def rest(reader):
    """Return what comes until the server closes the connection."""
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            return await reader.read()
        return b""


async def answer(port, context=None, sent=GET):
    """Return the whole answer to what is sent."""
    async with connected(port, context, sent) as (reader, _):
        return await rest(reader)


async def names_of(port, context):
    """Return the body that the server makes of the names of a client's certificate."""
    whole = await answer(port, context, GET.replace(b"/healthz", b"/names"))
    return whole.partition(b"\r\n\r\n")[2].decode()


async def shown_name(port, authority):
    """Return whose certificate the server shows at the moment."""
    async with connected(port, client_context(authority)) as (_, writer):
        subject = writer.get_extra_info("peercert")["subject"]
    return subject[0][0][1]


def refused(deps, reason):
    """Return how often something was refused for a reason."""
    return deps.telemetry.registry.get_sample_value("bridge_http_refused_total", {"reason": reason})


def open_connections(deps):
    """Return how many connections are counted as open."""
    return deps.telemetry.registry.get_sample_value("bridge_http_connections")


def warnings_in(caplog):
    """Return the records that an operator sees."""
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_requests_over_tls(served, authority):
    """One connection takes several of them, and gives its place back at the end."""
    deps, port = await served()
    request = GET.replace(b"Connection: close\r\n", b"")

    async with connected(port, client_context(authority)) as (reader, writer):
        for _ in range(3):
            writer.write(request)
            async with asyncio.timeout(60):
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(3)
            assert head.startswith(b"HTTP/1.1 200")
        assert open_connections(deps) == 1

    await until(lambda: open_connections(deps) == 0)


async def test_nothing_older_than_tls_1_2_is_spoken(served, authority, caplog):
    """Who offers 1.1 alone is not let in, and leaves a line that says why."""
    deps, port = await served()

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await answer(port, old_context())

    await until(lambda: refused(deps, "handshake") == 1)
    [record] = warnings_in(caplog)
    assert "PROTOCOL" in record.fields["error"]
    assert not record.exc_info
    context = client_context(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert (await answer(port, context)).startswith(b"HTTP/1.1 200")


async def test_a_request_in_plain_text_is_answered(served, authority, caplog):
    """A request in plain text gets an answer that says what to do; many of them leave few lines."""
    deps, port = await served()

    for _ in range(5):
        whole = await answer(port)

    assert whole.startswith(b"HTTP/1.1 400 ")
    assert b"use https://" in whole
    assert refused(deps, "no_tls") == 5
    assert len(warnings_in(caplog)) < 5
    await until(lambda: open_connections(deps) == 0)
    assert (await answer(port, client_context(authority))).startswith(b"HTTP/1.1 200")


async def test_tls_on_the_plain_server_ends_at_once(served, authority, caplog):
    """The client learns that no TLS is spoken there; the log has few lines, and no traceback."""
    deps, port = await served(tls=False)

    for _ in range(3):
        with pytest.raises(ssl.SSLError):
            await answer(port, client_context(authority))

    assert refused(deps, "malformed") == 3
    assert len(warnings_in(caplog)) < 3
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_a_handshake_that_does_not_end_is_not_waited_for(served, sent):
    """It holds a place among all connections for its time, and no longer."""
    deps, port = await served(request_seconds=SLOW)

    async with connected(port, sent=sent) as (reader, _):
        assert await rest(reader) == b""

    assert refused(deps, "slow_request") == 1
    await until(lambda: open_connections(deps) == 0)


async def test_connections_in_their_handshake_count(served, authority):
    """One more than there may be from one address is closed; when they are gone there is room again."""
    deps, port = await served(connections_per_address=2)

    async with connected(port), connected(port, sent=b"\x16"):
        await until(lambda: open_connections(deps) == 2)
        assert await answer(port, sent=b"") == b""
        assert refused(deps, "connections_per_address") == 1

    await until(lambda: open_connections(deps) == 0)
    assert (await answer(port, client_context(authority))).startswith(b"HTTP/1.1 200")


async def test_who_connects_and_leaves_is_not_logged(served, caplog):
    """A load balancer that looks whether the port is open leaves nothing in the log."""
    deps, port = await served()

    for _ in range(3):
        async with connected(port):
            await until(lambda: open_connections(deps) == 1)
        await until(lambda: open_connections(deps) == 0)

    assert refused(deps, "handshake") == 0
    assert not warnings_in(caplog)


async def test_garbage_in_a_handshake_leaves_few_lines(served, caplog):
    """What is not TLS after its first byte is counted, and nothing else happens."""
    deps, port = await served()

    for _ in range(5):
        await answer(port, sent=b"\x16" + b"\x00" * 100)

    await until(lambda: refused(deps, "handshake") == 5)
    assert len(warnings_in(caplog)) < 5
    assert not any(record.exc_info for record in caplog.records)


async def test_a_stop_ends_handshakes(tmp_path, stored, authority):
    """Whoever says nothing is not waited for."""
    deps, _ = deps_in(tmp_path, stored=stored)
    files = authority.issue("bridge")
    tls = HttpTls(CertificateFiles(files.certificate, files.key), deps.telemetry)
    with bind_listener("127.0.0.1:0") as listener:
        port = int(listener.address.rpartition(":")[2])
        async with AsyncExitStack() as stack:
            async with serve_http(build_app(deps), listener, tls):
                reader, _ = await stack.enter_async_context(connected(port))
                await until(lambda: open_connections(deps) == 1)
            assert await rest(reader) == b""

    assert open_connections(deps) == 0


async def test_the_names_of_a_client_certificate(served, authority):
    """URIs, DNS names, common name; who shows none is let in all the same, and has no names."""
    _, port = await served(clients=authority.file)
    uri, dns = "spiffe://cluster/ns/team-a/sa/trainer", ("a.example.org", "b.example.org")
    shown = authority.issue("trainer", uris=[uri], dns=dns)

    assert await names_of(port, client_context(authority, shown)) == (
        f'["{uri}", "{dns[0]}", "{dns[1]}", "trainer"]'
    )
    assert await names_of(port, client_context(authority)) == "[]"


async def test_a_certificate_of_a_stranger_is_not_let_in(served, authority, tmp_path):
    """One that nobody vouches for is worse than none."""
    deps, port = await served(clients=authority.file)
    stranger = Authority(tmp_path / "stranger", "stranger").issue("trainer")

    with suppress(ssl.SSLError):  # with TLS 1.3 the client learns of it when it reads
        assert await answer(port, client_context(authority, stranger)) == b""

    await until(lambda: refused(deps, "handshake") == 1)


async def test_a_certificate_is_not_asked_for_without_an_authority(served, authority):
    """A client's certificate means nothing where nobody vouches for it."""
    _, port = await served()

    assert await names_of(port, client_context(authority, authority.issue("trainer"))) == "[]"


async def test_renewed_files_are_used(served, authority, caplog):
    """From the next connection on; a renewal that cannot be used is logged once, and changes nothing."""
    files = authority.issue("first", into="bridge")
    _, port = await served(files)
    assert await shown_name(port, authority) == "first"

    authority.issue("second", into="bridge")

    async def is_renewed():
        return await shown_name(port, authority) == "second"

    await until(is_renewed)

    files.key.write_text("no key")
    await until(lambda: any("stays" in record.message for record in caplog.records))
    assert await shown_name(port, authority) == "second"
    [record] = warnings_in(caplog)
    assert record.fields["reason"].startswith("http_tls_cert_file: ")


async def test_a_renewed_authority_of_clients_is_used(served, authority, tmp_path):
    """Who was a stranger before is known, and the other way round."""
    other = Authority(tmp_path / "other", "other")
    clients = tmp_path / "clients.pem"
    clients.write_bytes(authority.file.read_bytes())
    _, port = await served(clients=clients)
    one, another = (
        client_context(authority, issuer.issue("trainer")) for issuer in (authority, other)
    )
    assert await names_of(port, one) == '["trainer"]'

    clients.write_bytes(other.file.read_bytes())

    async def knows(context):
        with suppress(ssl.SSLError):
            return await names_of(port, context) == '["trainer"]'
        return False

    await until(partial(knows, another))
    assert not await knows(one)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("key", "not PEM files of a certificate and its own key"),
        ("missing", "cannot be read"),
        ("authority", "http_tls_client_ca_file to certificates"),
    ],
)
def test_files_that_cannot_be_used_are_a_clear_error(authority, tmp_path, broken, said):
    """The settings are named, and the files."""
    files = authority.issue("bridge")
    other = tmp_path / "other"
    if broken != "missing":
        other.write_text("no PEM")
    given = {
        "key": CertificateFiles(files.certificate, other, prefix="http_"),
        "missing": CertificateFiles(files.certificate, other, prefix="http_"),
        "authority": CertificateFiles(files.certificate, files.key, other, prefix="http_"),
    }[broken]

    with pytest.raises(SettingError, match=said) as error:
        HttpTls(given, Telemetry())
    assert "http_tls_cert_file" in str(error.value)
    assert str(other) in str(error.value)

"""What a client may take of the HTTP server, tried with sockets against a real one."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from support.pages import FakeMetrics, deps_in
from support.waiting import until

from bridge.web import HttpConnectionLimits, TrustedProxies, bind_listener, build_app, serve_http

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW = 0.3


@pytest.fixture
async def served(tmp_path, stored):
    """Return a function that serves an app with limits, and returns its dependencies and its port."""
    async with AsyncExitStack() as stack:

        async def start(*, metrics=None, proxies="", **limits):
            changes = {"metrics": metrics} if metrics else {}
            changes["trusted_proxies"] = TrustedProxies.of(proxies)
            limits = HttpConnectionLimits(**limits)
            deps, _ = deps_in(tmp_path, stored=stored, connection_limits=limits, **changes)
            listener = stack.enter_context(bind_listener("127.0.0.1:0"))
            await stack.enter_async_context(serve_http(build_app(deps), listener))
            return deps, int(listener.address.rpartition(":")[2])

        yield start


@asynccontextmanager
async def connected(port, sent=b""):
    """Open a connection and send something; it is closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        await writer.drain()
        yield reader
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def answer(port, sent=GET):
    """Return the status line of the answer to what is sent."""
    async with connected(port, sent) as reader:
        return await first_line(reader)


async def first_line(reader):
    """Return the first line of an answer."""
    async with asyncio.timeout(60):
        return (await reader.readline()).decode().strip()


async def rest(reader):
    """Return what comes until the server closes the connection."""
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            return await reader.read()
        return b""


def refused(deps, reason):
    """Return how often something was refused for a reason."""
    return deps.telemetry.registry.get_sample_value("bridge_http_refused_total", {"reason": reason})


def open_connections(deps):
    """Return how many connections are counted as open."""
    return deps.telemetry.registry.get_sample_value("bridge_http_connections")


@pytest.mark.parametrize(
    "sent", [b"", b"GE", GET[:-2], b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100]
)
async def test_headers_that_do_not_end_are_not_waited_for(served, sent):
    """A connection without a whole request is closed after its time, and counted."""
    deps, port = await served(request_seconds=SLOW)

    async with connected(port, sent) as reader:
        assert await rest(reader) == b""

    assert refused(deps, "slow_request") == 1
    assert await answer(port) == "HTTP/1.1 200 OK"


async def test_headers_that_trickle_are_not_waited_for(served):
    """More bytes bring no more time."""
    deps, port = await served(request_seconds=SLOW)
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nA: ")

    async with asyncio.timeout(60):
        while not refused(deps, "slow_request"):
            writer.write(b"x")
            await asyncio.sleep(0.02)
    writer.close()

    assert refused(deps, "slow_request") == 1


async def test_a_body_that_does_not_come_is_not_waited_for(served):
    """Status 408 with the setting, and the connection ends."""
    deps, port = await served(request_seconds=SLOW)
    sent = (
        b"POST /api/v1/sessions/x/commands HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    )

    async with connected(port, sent) as reader:
        whole = await rest(reader)

    assert whole.startswith(b"HTTP/1.1 408 ")
    assert b"--http-request-seconds" in whole
    assert refused(deps, "slow_request") == 1


async def test_an_idle_connection_is_closed(served):
    """Kept for the next request, but not for good."""
    deps, port = await served(idle_seconds=SLOW)

    async with connected(port, GET) as reader:
        assert (await rest(reader)).startswith(b"HTTP/1.1 200")

    assert refused(deps, "slow_request") == 0


async def test_a_connection_serves_one_request_after_another(served):
    """The time for a request begins anew with each, not with the connection."""
    _deps, port = await served(request_seconds=SLOW)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    for _ in range(4):
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await reader.readexactly(3)
        await asyncio.sleep(SLOW / 2)
    writer.close()


async def test_one_address_has_a_limit_of_connections(served):
    """One more is answered so at once; when one is closed there is room again."""
    deps, port = await served(connections_per_address=3)

    async with connected(port), connected(port):
        async with connected(port):
            await until(lambda: open_connections(deps) == 3)
            async with connected(port) as reader:
                whole = await rest(reader)
        await until(lambda: open_connections(deps) == 2)
        assert await answer(port) == "HTTP/1.1 200 OK"

    assert whole.startswith(b"HTTP/1.1 503 ")
    assert b"--http-max-connections-per-address" in whole
    assert refused(deps, "connections_per_address") == 1
    await until(lambda: open_connections(deps) == 0)


async def test_a_trusted_proxy_has_no_limit_of_its_own(served):
    """All its clients would share one; the limit of all connections holds for it, too."""
    deps, port = await served(connections_per_address=1, connections=3, proxies="127.0.0.0/8")

    async with connected(port), connected(port), connected(port):
        await until(lambda: open_connections(deps) == 3)
        async with connected(port) as reader:
            assert b"--http-max-connections)" in await rest(reader)

    assert refused(deps, "connections_per_address") == 0


async def test_all_addresses_together_have_a_limit(served):
    """Wherever they come from."""
    deps, port = await served(connections=1)

    async with connected(port):
        await until(lambda: open_connections(deps) == 1)
        async with connected(port) as reader:
            assert b"--http-max-connections)" in await rest(reader)

    assert refused(deps, "connections") == 1


async def test_who_does_not_read_is_cut(served):
    """A page that nobody takes is given up, and holds no memory of its own meanwhile."""
    page = FakeMetrics(body=b"x" * (32 << 20))
    deps, port = await served(metrics=page, request_seconds=SLOW)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")

        await until(lambda: refused(deps, "slow_reader") == 1)
        await until(lambda: open_connections(deps) == 0)


async def test_who_reads_slowly_gets_all_of_it(served):
    """The time is for each piece, not for the whole."""
    page = FakeMetrics(body=bytes(range(256)) * 32_768)
    deps, port = await served(metrics=page, request_seconds=5)
    got = bytearray()

    async with connected(port, b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n") as reader:
        while piece := await reader.read(1 << 20):
            got += piece
            await asyncio.sleep(0.01)

    assert got.endswith(page.body)
    assert f"Content-Length: {len(page.body)}\r\n".encode() in got
    assert refused(deps, "slow_reader") == 0


MALFORMED = (
    b"\x00\x01\x02\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
)


async def test_malformed_requests_are_counted_and_logged_once(served, caplog):
    """A flood of them leaves a line, not a traceback each."""
    deps, port = await served()

    for sent in MALFORMED * 3:
        with suppress(ConnectionError):
            assert (await answer(port, sent)).startswith("HTTP/1.")

    assert refused(deps, "malformed") >= len(MALFORMED) * 2
    lines = [record for record in caplog.records if record.levelname != "DEBUG"]
    assert len(lines) == 1
    assert not lines[0].exc_info


async def test_readers_that_do_not_read_share_a_page(served):
    """A hundred of them hold a few pages, not one each, and do not keep others from reading."""

    class Counting(FakeMetrics):
        async def render(self, accept, sessions):
            page = await super().render(accept, sessions)
            return type(page)(bytes(bytearray(page.body)), page.content_type)

    page = Counting(body=b"x" * (8 << 20))
    deps, port = await served(metrics=page, metrics_pages=2)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await stack.enter_async_context(connected(port, request))
            await until(lambda: open_connections(deps) >= 1)
        await until(lambda: open_connections(deps) == 20)
        async with connected(port, b"GET /metrics HTTP/1.0\r\n\r\n") as reader:
            assert (await rest(reader)).endswith(b"xxx")

    assert len(page.accepted) < 10

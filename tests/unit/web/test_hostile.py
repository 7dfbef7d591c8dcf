"""Whatever a URL contains, no route fails with a 500 or leaves a traceback in the log."""

import asyncio
import itertools
import logging
from contextlib import suppress
from urllib.parse import quote

import pytest
from support.pages import pictures, running
from yarl import URL

from bridge.web.app import ROUTES
from bridge.web.pages.image_selection import PARAMETERS

VALUES = (
    "",
    "x",
    "0",
    "1",
    "-1",
    "1.5",
    "NaN",
    "-Infinity",
    "1e999",
    "9" * 30,
    "9" * 350,
    str(2**32),
    str(2**53),
    str(2**63),
    str(2**64),
    "1-7",
    "-",
    "1-",
    "-7",
    "1-7-7",
    f"{2**40}-1",
    "max_loss",
    "newest",
    "run-1",
    "nobody",
    "${at}",
    "${",
    "${__value.time}",
    "%00",
    "%0a",
    "%ff%fe",
    "%ed%a0%80",
    "%C3%A4",
    "%",
    "%zz",
    "%2e%2e%2f",
    quote("'\"<script>"),
    quote("1; DROP TABLE images"),
    quote("١٢"),
    "cat",
    "dog",
    "+",
    "true",
    "None",
    "[]",
    "{}",
)
"""As they appear in a URL."""

NAMES = (
    *PARAMETERS,
    "limit",
    "offset",
    "after",
    "note",
    "ignored",
    "v",
    "",
    "%00",
    "a.b",
    "__proto__",
)
PARTS = ("session_id", "attempt", "epoch", "batch", "position", "slot")
GOOD = {"session_id": "run-1", "epoch": "1", "batch": "7", "position": "0", "slot": "0"}


def path_of(route, **parts):
    """Return a path of a route, with valid parts except those given."""
    path = route.plain
    for name, value in {**GOOD, **parts}.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def queries():
    """Yield query strings: each name with each value, twice, and all at once."""
    for name, value in itertools.product(NAMES, VALUES):
        yield f"{name}={value}"
    for name in NAMES:
        yield f"{name}=1&{name}=x&{name}"
    for value in VALUES:
        yield "&".join(f"{name}={value}" for name in NAMES)
    yield from ("session", "&&&", "=", "==&=", "a" * 2_000, "&".join(["session=run-1"] * 200))


def paths(route):
    """Yield paths of a route with one invalid part each."""
    for part in PARTS:
        if f"{{{part}}}" in route.plain:
            yield from (path_of(route, **{part: value}) for value in VALUES if value)


async def status_of(client, method, target):
    """Return the status of a request whose URL is sent without normalization."""
    address = URL(f"http://{client.host}:{client.port}{target}", encoded=True)
    body = {"json": {"type": "PAUSE_TRAINING"}} if method == "POST" else {}
    async with client.session.request(method, address, allow_redirects=False, **body) as response:
        await response.read()
        return response.status


def complaints(caplog):
    """Return the errors and exceptions in the log."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.exc_info or record.levelno >= logging.ERROR
    ]


@pytest.fixture
async def client(open_client, stored):
    """Return a client of a bridge with a session that has images."""
    client = await open_client()
    running(client.deps)
    stored.add("run-1", 1, 7, pictures(2))
    return client


@pytest.mark.parametrize("route", ROUTES, ids=lambda one: f"{one.method} {one.plain}")
async def test_no_query_is_an_error_of_ours(client, route, caplog):
    """Unknown names, repeated ones, numbers of any size, bytes that are not text: a response, or what would be right."""
    for query in queries():
        status = await status_of(client, route.method, f"{path_of(route)}?{query}")
        assert status < 500, query
    assert complaints(caplog) == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda one: f"{one.method} {one.plain}")
async def test_no_part_of_a_path_is_an_error_of_ours(client, route, caplog):
    """Unknown names, numbers out of range, and bytes that are not text are not found."""
    for path in paths(route):
        assert await status_of(client, route.method, path) < 500, path
    assert complaints(caplog) == []


@pytest.mark.parametrize("query", ["", "?session=run-1", "?session=x&session=y", "?prefer=x"])
async def test_a_sheet_is_a_picture(client, query):
    """Status 200 whatever is requested, since a panel would show a broken image otherwise."""
    assert await status_of(client, "GET", f"/sessions/run-1/sheet.jpg{query}") == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /sessions/run-1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /sessions/run-1/sheet.jpg HTTP/1.1\r\nHost: x\r\n\r\n",
        (
            b"POST /api/v1/sessions/run-1/commands HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        ),
        (
            b"POST /sessions/run-1/commands HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
        ),
    ],
    ids=lambda sent: sent.split(b" HTTP")[0].decode() + f" {len(sent)}",
)
async def test_who_hangs_up_is_not_an_error(client, sent, caplog):
    """Browsers close pages and programs drop connections all the time."""
    for _ in range(5):
        _reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(0)
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
    assert await status_of(client, "GET", "/healthz") == 200
    assert complaints(caplog) == []

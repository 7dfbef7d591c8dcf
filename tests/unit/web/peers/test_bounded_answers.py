"""What comes before an answer of another bridge is bounded, whatever sends it."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from bridge.access import ANYONE
from bridge.web.peers import connections as module
from bridge.web.peers.bounded_answers import MOST_INTERIM, PART_BYTES
from bridge.web.peers.connections import PeerConnections, SilentPeerError
from bridge.web.peers.sharing import Peer
from bridge.web.peers.ticket import ANSWERED, HEADER, Ticket, answer_proof

SECRET = b"secret of the database"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@asynccontextmanager
async def answered_by(answer):
    """Serve with a function that is called with the writer and the proof of each request, and yield a bridge."""

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        given = next(value for name, value in lines.items() if name.lower() == HEADER.lower())
        with suppress(ConnectionError):
            await answer(writer, answer_proof(given, SECRET))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Peer("there", f"http://127.0.0.1:{port}")


async def asked(peer):
    """Return the answer of a bridge."""
    connections = PeerConnections(SECRET)
    await connections.open()
    try:
        ticket = Ticket("there", "GET", "/x", time.time(), ANYONE, "localhost")
        return await connections.request(peer, ticket)
    finally:
        await connections.close()


def response(proof, body):
    """Return an answer as it comes over the wire."""
    head = f"HTTP/1.1 200 OK\r\n{ANSWERED}: {proof}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_interim_responses_without_an_end_are_given_up(monkeypatch):
    """They take up neither the second of a request nor the time of everybody else."""
    monkeypatch.setattr(module, "SECONDS", 3600.0)

    async def flood(writer, _proof):
        while True:
            writer.write(CONTINUE * 10_000)
            await writer.drain()

    async with answered_by(flood) as peer:
        with pytest.raises(SilentPeerError) as given_up:
            await asyncio.wait_for(asked(peer), 60)
    assert isinstance(given_up.value.__cause__, aiohttp.ClientPayloadError)


@pytest.mark.parametrize("count", [0, 1, MOST_INTERIM])
@pytest.mark.parametrize("size", [0, 10, PART_BYTES, PART_BYTES * 20 + 7])
async def test_an_answer_comes_whole(count, size):
    """Behind a few of them, in one piece or in many."""
    body = bytes(number % 251 for number in range(size))

    async def answer(writer, proof):
        writer.write(CONTINUE * count + response(proof, body))
        await writer.drain()

    async with answered_by(answer) as peer:
        found = await asked(peer)
    assert (found.status, found.body) == (200, body)


async def test_one_too_many_is_given_up_though_an_answer_follows():
    """A bridge sends none of them."""

    async def answer(writer, proof):
        writer.write(CONTINUE * (MOST_INTERIM + 1) + response(proof, b"late"))
        await writer.drain()

    async with answered_by(answer) as peer:
        with pytest.raises(SilentPeerError):
            await asked(peer)

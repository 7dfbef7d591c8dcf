"""OTLP collectors that misbehave: a TCP server which does with each connection what a test says."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, suppress

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset."""


@asynccontextmanager
async def misbehaving(behave, *, tls=None):
    """Listen until the block is left; `behave(reader, writer)` runs for each connection. Yields host:port."""
    running, writers = set(), set()

    async def serve(reader, writer):
        # A task that ends cancelled would be reported as a fault.
        with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await behave(reader, writer)
        writer.transport.abort()

    def connected(reader, writer):
        writers.add(writer)
        running.add(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0)  # what has been accepted is served first
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for writer in writers:  # a task that was cancelled before it began has closed nothing
            writer.transport.abort()


async def hang(_reader, _writer):
    """Accept, and never answer."""
    await asyncio.Event().wait()


async def reset(reader, writer):
    """Read something, and reset the connection."""
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def close(reader, _writer):
    """Read something, and close the connection."""
    await reader.read(1)


def dripping(head, part, pause_seconds):
    """Return what sends a head, and then a part of the rest again and again, for as long as the other side waits."""

    async def behave(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 200 OK\r\n" + head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_seconds)

    return behave


BODY = b"Content-Type: application/x-protobuf\r\n\r\n"
drip = dripping(b"X-Long: ", b"x", 0.01)
drip_body = dripping(BODY, b"\x00", 0.01)
endless_body = dripping(BODY, bytes(1 << 16), 0)


def say(raw):
    """Return what answers each connection with these bytes."""

    async def behave(reader, writer):
        await reader.read(1 << 16)
        writer.write(raw)
        await writer.drain()
        await reader.read(1 << 16)

    return behave


def answer(status, body=b"", content_type="text/plain", **headers):
    """Return what answers each connection with an HTTP response."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"{more}Connection: close\r\n\r\n"
    )
    return say(head.encode() + body)


def forwarding(target, requests):
    """Return an HTTP proxy that passes everything on to `target`, a host:port, and notes each request line."""

    async def behave(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        requests.append(line.decode())
        method, url, version = line.split()
        host, port = target.split(":")
        back, forth = await asyncio.open_connection(host, port)
        ways = []
        try:
            if method == b"CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = b"/" + url.split(b"/", 3)[3]
                forth.write(b" ".join((method, path, version)) + b"\r\n" + rest)
            ways = [
                asyncio.ensure_future(pass_on(*way)) for way in ((reader, forth), (back, writer))
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            forth.transport.abort()

    return behave


async def pass_on(source, sink):
    """Copy bytes until there are no more."""
    while data := await source.read(1 << 16):
        sink.write(data)
        await sink.drain()

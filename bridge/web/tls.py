"""TLS for the HTTP server: the certificate as it is now, and the handshakes of new connections."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from bridge.certificates import CertificateFiles, RenewedFiles, server_context
from bridge.errors import SettingError, StorageError
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread
from bridge.web.http_connections import SLOW_REQUEST, HttpConnections, peer_address

LOOK_SECONDS = 1.0
"""How often the files are looked at."""

GOODBYE_SECONDS = 5.0
"""How long a client that is to be closed may take to say that it has heard."""

PAUSE_SECONDS = 0.5
"""After a connection could not be accepted, most likely for want of file descriptors."""

HANDSHAKE = b"\x16"
"""What a client that speaks TLS begins with (RFC 8446, section 5.1)."""

LONGEST_PLAIN_REQUEST = 65_536
"""Bytes that are read of one, so that its client gets the answer."""


class HttpTls:
    """What TLS is spoken with; renewed files are used from the next connection on."""

    def __init__(
        self,
        files: CertificateFiles,
        telemetry: Telemetry,
        on_renewed: Callable[[], object] | None = None,
    ) -> None:
        """Load the files; raises SettingError where they cannot be used.

        `on_renewed` is called in a thread after others were loaded, until it raises neither StorageError nor SettingError.
        """
        self._files = RenewedFiles(files, _http_context, telemetry)
        self._telemetry = telemetry
        self._on_renewed = on_renewed
        self._is_announced = True
        self.context = self._files.first()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for renewed files while the context lasts."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            renewed = await run_in_daemon_thread(self._files.renewed, name="certificates")
            self.context = renewed or self.context
            self._is_announced = self._is_announced and renewed is None
            if not self._is_announced and self._on_renewed is not None:
                await self._announce(self._on_renewed)

    async def _announce(self, on_renewed: Callable[[], object]) -> None:
        try:
            await run_in_daemon_thread(on_renewed, name="certificates")
            self._is_announced = True
        except (StorageError, SettingError) as error:
            self._telemetry.storage_failed("announcing the certificate", error)


class TlsDoor:
    """Accepts connections, each with its place among all, and has HTTP spoken on those whose handshake succeeds."""

    def __init__(
        self,
        tls: HttpTls,
        connections: HttpConnections,
        speak_http: Callable[[], asyncio.Protocol],
    ) -> None:
        """Accept nothing yet."""
        self._tls = tls
        self._connections = connections
        self._speak_http = speak_http

    @asynccontextmanager
    async def open(self, listener: socket.socket) -> AsyncIterator[None]:
        """Accept connections at a socket that listens while the context lasts; none is left in its handshake."""
        listener.setblocking(False)
        handshakes: set[asyncio.Task[None]] = set()
        accepting = asyncio.create_task(self._accept(listener, handshakes))
        try:
            yield
        finally:
            accepting.cancel()
            await asyncio.wait((accepting,))
            for handshake in handshakes:
                handshake.cancel()
            if handshakes:
                await asyncio.wait(handshakes)

    async def _accept(self, listener: socket.socket, handshakes: "set[asyncio.Task[None]]") -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, peer = await loop.sock_accept(listener)
            except OSError as error:
                self._refused("accept", "", error)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            handshake = asyncio.create_task(self._admit(client, peer_address(peer)))
            handshakes.add(handshake)
            handshake.add_done_callback(handshakes.discard)
            await asyncio.sleep(0)  # a connection that waits already is returned without a pause

    async def _admit(self, client: socket.socket, address: str) -> None:
        if self._connections.take_place(address):
            client.close()
            return
        protocol = self._connections.protocol(self._speak_http(), address=address)
        try:
            async with asyncio.timeout(self._connections.limits.request_seconds):
                first = await _first_byte(client)
                if first == HANDSHAKE:
                    await self._shake_hands(client, protocol)
                elif first:
                    self._refused("no_tls", address)
                    _answer_in_plain_text(client)
        except TimeoutError:
            self._refused(SLOW_REQUEST, address)
        except OSError as error:  # an SSLError is one
            self._refused("handshake", address, error)
        finally:
            if not protocol.was_opened:
                client.close()
                self._connections.give_back(address)

    async def _shake_hands(self, client: socket.socket, protocol: asyncio.Protocol) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: protocol,
            client,
            ssl=self._tls.context,
            ssl_handshake_timeout=self._connections.limits.request_seconds,
            ssl_shutdown_timeout=GOODBYE_SECONDS,
        )

    def _refused(self, reason: str, address: str, error: OSError | None = None) -> None:
        said = getattr(error, "reason", None) or (
            error and (error.strerror or type(error).__name__)
        )
        self._connections.telemetry.http_refused(reason, address=address, error=said)


def _http_context(files: CertificateFiles) -> ssl.SSLContext:
    context = server_context(files)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _first_byte(client: socket.socket) -> bytes:
    """Return the first byte that a client sends, and leave it to be read; b"" where it sends none, and is gone."""
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(client, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(client)
    try:
        return client.recv(1, socket.MSG_PEEK)
    except ConnectionError:
        return b""


def _answer_in_plain_text(client: socket.socket) -> None:
    """Tell a client that does not speak TLS what to do."""
    text = "this is an HTTPS server: use https:// in the address\n"
    head = (
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n"
        "X-Content-Type-Options: nosniff\r\nServer: trainbridge\r\n\r\n"
    )
    with suppress(OSError):
        client.recv(LONGEST_PLAIN_REQUEST)
        client.send((head + text).encode())

"""Requests to other bridges: few at a time, each within a second, to who shows the certificate that is expected."""

import asyncio
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from bridge.access import Identity, Role
from bridge.errors import NotFoundError, StorageError
from bridge.web.peers.bounded_answers import BoundedAnswers
from bridge.web.peers.sharing import Peer
from bridge.web.peers.ticket import ANSWERED, HEADER, Ticket, answer_proof, signed

SECONDS = 1.0
"""For a whole answer."""

SILENT_SECONDS = 2.0
"""After one that did not come, so long nothing is asked of the same bridge: pages do not wait for it each time."""

MOST_CONNECTIONS = 64

MOST_PER_PEER = 16

LARGEST_ANSWER_BYTES = 8 * 1024 * 1024


class SilentPeerError(Exception):
    """Another bridge has not answered."""


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """What another bridge has answered."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class PeerConnections:
    """Asks other bridges; connections are not kept, so that no request is ever sent twice."""

    def __init__(self, secret: bytes = b"") -> None:
        """Open nothing yet; `secret` is what bridges on one database prove themselves to each other with."""
        self._secret = secret
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._pins: dict[str, aiohttp.Fingerprint] = {}
        self._silent_until: dict[str, float] = {}

    async def open(self) -> None:
        """Take requests from now on, of this loop and of threads; once open, it stays so."""
        if self._session is not None:
            return
        self._loop = asyncio.get_running_loop()
        session = aiohttp.ClientSession(
            connector=BoundedAnswers(
                limit=MOST_CONNECTIONS, limit_per_host=MOST_PER_PEER, force_close=True
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        # aiohttp sends a DELETE again when the connection ends; only this attribute keeps it from that.
        session._retry_connection = False
        self._session = session

    async def close(self) -> None:
        """Ask nothing any more."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self,
        peer: Peer,
        ticket: Ticket,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> PeerAnswer:
        """Pass on a request, once; raises SilentPeerError where no whole answer of that bridge comes within a second."""
        if time.monotonic() < self._silent_until.get(peer.bridge_id, 0.0):
            raise SilentPeerError
        try:
            async with asyncio.timeout(SECONDS):
                return await self._answer(peer, ticket, headers or {}, body)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if not isinstance(error, ValueError):
                self._silent_until[peer.bridge_id] = time.monotonic() + SILENT_SECONDS
            raise SilentPeerError from error

    async def fetch(self, peer: Peer, target: str, *, name: str) -> bytes:
        """Return what another bridge serves to bridges alone at a path; `name` says who asks.

        Raises NotFoundError where it has nothing there, StorageError where it does not answer.
        """
        identity = Identity(name, frozenset({Role.VIEW}))
        ticket = Ticket(peer.bridge_id, "GET", target, time.time(), identity, "")
        try:
            answer = await self.request(peer, ticket)
        except SilentPeerError:
            raise StorageError(f"bridge {peer.bridge_id} does not answer") from None
        if answer.status == 404:
            raise NotFoundError(f"bridge {peer.bridge_id} does not have it")
        if answer.status != 200:
            raise StorageError(f"bridge {peer.bridge_id} answers with {answer.status}")
        return answer.body

    def fetch_in_thread(self, peer: Peer, target: str, *, name: str) -> bytes:
        """Return the same to a thread, which waits; raises NotFoundError or StorageError."""
        loop = self._loop
        if loop is None or self._session is None:
            raise StorageError(
                f"bridge {peer.bridge_id} cannot be asked: this one starts, or stops"
            )
        fetching = asyncio.run_coroutine_threadsafe(self.fetch(peer, target, name=name), loop)
        try:
            return fetching.result(SECONDS * 2)
        except TimeoutError:
            fetching.cancel()
            raise StorageError(f"bridge {peer.bridge_id} does not answer") from None

    async def _answer(
        self, peer: Peer, ticket: Ticket, headers: Mapping[str, str], body: bytes
    ) -> PeerAnswer:
        if self._session is None:
            raise OSError("no more requests are taken")
        header = signed(ticket, self._secret)
        async with self._session.request(
            ticket.method,
            URL(f"{peer.url.rstrip('/')}{ticket.target}", encoded=True),
            headers={
                **headers,
                "Accept-Encoding": "identity",
                HEADER: header,
            },
            data=body or None,
            allow_redirects=False,
            ssl=self._pin(peer),
        ) as response:
            if response.headers.get(ANSWERED) != answer_proof(header, self._secret):
                raise OSError("something other than this bridge has answered")
            received = bytearray()
            async for part in response.content.iter_any():
                received += part
                if len(received) > LARGEST_ANSWER_BYTES:
                    raise ValueError("the answer is too long")
            return PeerAnswer(response.status, response.headers, bytes(received))

    def _pin(self, peer: Peer) -> aiohttp.Fingerprint | bool:
        """Return the one certificate that is good; raises ValueError where TLS is spoken and none is known."""
        if not peer.url.startswith("https://"):
            return True
        if peer.fingerprint not in self._pins:
            self._pins[peer.fingerprint] = aiohttp.Fingerprint(binascii.unhexlify(peer.fingerprint))
        return self._pins[peer.fingerprint]

"""Requests to other bridges: to whom they go, what they take at most, and that each is made once."""

import asyncio
import ssl
import time

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.certificates import Authority

from bridge.access import ANYONE
from bridge.certificates import fingerprint_of
from bridge.errors import NotFoundError, StorageError
from bridge.web.peers import connections as module
from bridge.web.peers.connections import PeerConnections, SilentPeerError
from bridge.web.peers.sharing import Peer
from bridge.web.peers.ticket import ANSWERED, HEADER, Ticket, answer_proof, opened

SECRET = b"secret of the database"


def ticket(target="/x", method="GET"):
    """Return what is said of a request of anybody."""
    return Ticket("there", method, target, time.time(), ANYONE, "localhost")


@pytest.fixture
async def connections():
    """Return connections that are open."""
    connections = PeerConnections(SECRET)
    await connections.open()
    yield connections
    await connections.close()


@pytest.fixture
async def serve():
    """Return a function that serves what an endpoint answers, and returns the URL."""
    servers = []

    async def served(endpoint, tls=None):
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", endpoint)
        app.on_response_prepare.append(prove)
        server = TestServer(app, scheme="https" if tls else "http")
        await server.start_server(ssl=tls)
        servers.append(server)
        return str(server.make_url("/")).rstrip("/")

    yield served
    for server in servers:
        await server.close()


async def prove(request, response):
    """Have an answer come from a bridge, unless it says otherwise."""
    if HEADER in request.headers:
        response.headers.setdefault(ANSWERED, answer_proof(request.headers[HEADER], SECRET))


async def ok(_request):
    """Answer with a text."""
    return web.Response(text="well")


async def test_a_request_arrives_as_it_was_signed(connections, serve):
    """Target, body and headers are those given; nothing is added by which anybody else would be let in."""
    came = []

    async def take(request):
        came.append(
            (request.method, request.raw_path, await request.read(), request.headers.copy())
        )
        return web.Response(status=202, text="taken", headers={"ETag": '"1"'})

    peer = Peer("there", await serve(take))
    given = ticket("/a%2Fb/%C3%A4?x=%20y&z=1", "POST")
    answer = await connections.request(peer, given, headers={"Accept": "text/html"}, body=b"body")
    assert (answer.status, answer.body, answer.headers["ETag"]) == (202, b"taken", '"1"')
    [(method, target, body, headers)] = came
    assert (method, target, body) == ("POST", given.target, b"body")
    assert headers["Accept"] == "text/html"
    assert opened(headers[HEADER], SECRET, now=time.time()) == given
    assert not {"Cookie", "Authorization"} & headers.keys()


@pytest.mark.parametrize("proof", ["", "\xff", answer_proof("another request", SECRET)])
async def test_an_answer_of_something_other_than_a_bridge_is_none(connections, serve, proof):
    """The address of a bridge that is gone may be that of another service by now."""

    async def answer(_request):
        return web.Response(text="<script>", headers={ANSWERED: proof})

    with pytest.raises(SilentPeerError):
        await connections.request(Peer("there", await serve(answer)), ticket())


async def test_a_certificate_counts_by_its_fingerprint(connections, serve, tmp_path):
    """The one that is expected is good though nobody vouches for it; with any other, or none known, nothing is sent."""
    authority, came = Authority(tmp_path), []

    async def take(request):
        came.append(request.headers[HEADER])
        return web.Response(text="well")

    files, other = authority.issue("bridge"), authority.issue("other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    url = await serve(take, context)
    for name, fingerprint in (("x", fingerprint_of(other.certificate)), ("y", ""), ("z", "no hex")):
        with pytest.raises(SilentPeerError):
            await connections.request(Peer(name, url, fingerprint), ticket())
    assert not came
    peer = Peer("there", url, fingerprint_of(files.certificate))
    assert (await connections.request(peer, ticket())).body == b"well"


async def test_the_fingerprint_is_of_the_first_certificate(tmp_path):
    """Behind it there may be those that vouch for it."""
    authority = Authority(tmp_path)
    files = authority.issue("bridge")
    own = fingerprint_of(files.certificate)
    files.certificate.write_bytes(files.certificate.read_bytes() + authority.file.read_bytes())
    assert fingerprint_of(files.certificate) == own
    assert len(bytes.fromhex(own)) == 32
    with pytest.raises(ValueError, match="has no certificate"):
        fingerprint_of(files.key)


async def test_no_proxy_of_the_environment_is_asked(connections, serve, monkeypatch):
    """Other bridges are reached directly."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert (await connections.request(Peer("there", await serve(ok)), ticket())).status == 200


async def test_a_redirect_is_not_followed(connections, serve):
    """It is for whoever made the request."""

    async def lead_away(_request):
        raise web.HTTPFound("http://127.0.0.1:1/")

    answer = await connections.request(Peer("there", await serve(lead_away)), ticket())
    assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1:1/")


async def test_an_answer_has_a_second_in_all(connections, serve):
    """One that begins in time and does not end is none; after that nothing is asked for a while."""

    async def begin(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a part")
        await asyncio.sleep(60)
        return response

    peer, started = Peer("there", await serve(begin)), time.monotonic()
    with pytest.raises(SilentPeerError):
        await connections.request(peer, ticket())
    assert time.monotonic() - started < 30
    with pytest.raises(SilentPeerError):
        await connections.request(Peer("there", await serve(ok)), ticket())
    assert (await connections.request(Peer("another", await serve(ok)), ticket())).status == 200


async def test_an_answer_is_bounded(connections, serve, monkeypatch):
    """One that is larger than any page is not held in memory."""
    monkeypatch.setattr(module, "LARGEST_ANSWER_BYTES", 1000)

    async def flood(_request):
        return web.Response(body=b"x" * 100_000)

    with pytest.raises(SilentPeerError):
        await connections.request(Peer("there", await serve(flood)), ticket())


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_no_request_is_made_twice(connections, serve, method):
    """Also where the connection ends without an answer, after one that had gone well."""
    came = []

    async def cut(request):
        came.append(request.method)
        if len(came) == 1:
            return web.Response(text="well")
        request.transport.abort()
        return web.Response()

    peer = Peer("there", await serve(cut))
    await connections.request(peer, ticket(method=method))
    with pytest.raises(SilentPeerError):
        await connections.request(peer, ticket(method=method))
    assert len(came) == 2


async def test_what_bridges_serve_to_each_other_is_fetched(connections, serve):
    """By the loop or by a thread; what there is not is NotFoundError, anything else StorageError."""

    async def bytes_of(request):
        known = opened(request.headers[HEADER], SECRET, now=time.time())
        if request.path == "/gone":
            return web.Response(status=404)
        if request.path == "/fault":
            return web.Response(status=500)
        return web.Response(body=known.identity.name.encode())

    peer = Peer("there", await serve(bytes_of))
    assert await connections.fetch(peer, "/it", name="here") == b"here"
    fetched = await asyncio.to_thread(connections.fetch_in_thread, peer, "/it", name="here")
    assert fetched == b"here"
    with pytest.raises(NotFoundError, match="bridge there"):
        await connections.fetch(peer, "/gone", name="here")
    with pytest.raises(StorageError, match="answers with 500"):
        await connections.fetch(peer, "/fault", name="here")
    with pytest.raises(StorageError, match="does not answer"):
        await connections.fetch(Peer("nobody", "http://127.0.0.1:1"), "/it", name="here")


async def test_nothing_is_asked_before_or_after(serve):
    """Connections that are not open answer at once that they are not."""
    closed, peer = PeerConnections(SECRET), Peer("there", await serve(ok))
    with pytest.raises(StorageError, match="starts, or stops"):
        closed.fetch_in_thread(peer, "/it", name="here")
    with pytest.raises(StorageError, match="does not answer"):
        await closed.fetch(peer, "/it", name="here")


async def test_without_a_secret_nothing_is_sent(serve):
    """There is nobody who would believe it."""
    connections = PeerConnections()
    await connections.open()
    with pytest.raises(SilentPeerError):
        await connections.request(Peer("there", await serve(ok)), ticket())
    await connections.close()

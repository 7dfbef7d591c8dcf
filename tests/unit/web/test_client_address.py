"""Where a request comes from, with what headers, through which proxies."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from support.access import EACH_ROLE, asking_for
from support.pages import running

from bridge.protocol import CommandType
from bridge.web import TrustedProxies
from bridge.web.client_address import TRUSTED_PROXIES, client_address, is_secure, scheme_of

PROXY = "127.0.0.1"
CHAIN = "127.0.0.0/8 10.0.0.0/8 fd00::/8"
CLIENT = "192.0.2.7"


async def show(request):
    """Answer with what the bridge makes of a request."""
    assert is_secure(request) == (scheme_of(request) == "https")
    return web.json_response([client_address(request), is_secure(request)])


@pytest.fixture
async def ask():
    """Return a function that makes a request with headers, and returns the address and whether it came over TLS."""
    clients = []

    async def asked(trusted, *headers):
        app = web.Application()
        app[TRUSTED_PROXIES] = TrustedProxies.of(trusted)
        app.router.add_get("/", show)
        client = TestClient(TestServer(app))
        await client.start_server()
        clients.append(client)
        response = await client.get("/", headers=CIMultiDict(headers))
        return tuple(await response.json())

    yield asked
    for client in clients:
        await client.close()


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8 ::1", "127.0.0.2"])
async def test_nobody_is_believed_unless_a_setting_says_so(ask, trusted):
    """What anybody else sends in these headers changes nothing."""
    forged = (("X-Forwarded-For", CLIENT), ("X-Forwarded-Proto", "https"))
    assert await ask(trusted, *forged) == (PROXY, False)


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}:50123", CLIENT),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("[2001:db8::7]:50123", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("::ffff:192.0.2.7", CLIENT),
        (f"  {CLIENT}  ", CLIENT),
        (f"203.0.113.9, {CLIENT}", CLIENT),
        (f"203.0.113.9, {CLIENT}, 10.1.2.3", CLIENT),
        (f"203.0.113.9,{CLIENT},fd00::1,10.1.2.3", CLIENT),
        ("10.0.0.4, 10.1.2.3", "10.0.0.4"),
    ],
)
async def test_the_last_address_that_is_not_a_proxy_counts(ask, sent, found):
    """Whatever stands before it, its sender may have made up."""
    assert (await ask(CHAIN, ("X-Forwarded-For", sent)))[0] == found


async def test_several_headers_are_one_list(ask):
    """As RFC 9110 has it (section 5.3): the last one was added last."""
    headers = [("X-Forwarded-For", each) for each in ("203.0.113.9", CLIENT, "10.1.2.3")]
    assert (await ask(CHAIN, *headers))[0] == CLIENT


@pytest.mark.parametrize(
    "sent",
    ["", "unknown", "_hidden", "a" * 4000, "<script>", f"{CLIENT}, ", f"{CLIENT}, x", "[", "1.2.3"],
)
async def test_what_is_not_an_address_ends_the_list(ask, sent):
    """The proxy that passed it on is then as far back as anybody knows."""
    assert (await ask(CHAIN, ("X-Forwarded-For", sent)))[0] == PROXY
    chained = f"{sent}, 10.1.2.3"
    assert (await ask(CHAIN, ("X-Forwarded-For", chained)))[0] == "10.1.2.3"


async def test_a_very_long_list_is_not_followed(ask):
    """A hop after hop of proxies that trust each other ends somewhere."""
    sent = ", ".join([CLIENT, *["10.1.2.3"] * 500])
    assert (await ask(CHAIN, ("X-Forwarded-For", sent)))[0] == "10.1.2.3"


@pytest.mark.parametrize(
    ("hops", "sent", "found"),
    [
        (CLIENT, "https", True),
        (CLIENT, "HTTPS", True),
        (CLIENT, "http", False),
        (CLIENT, "", False),
        (CLIENT, "wss", False),
        (CLIENT, "https, http", False),
        (f"{CLIENT}, 10.1.2.3", "https, http", True),
        (f"{CLIENT}, 10.1.2.3", "http, https", False),
        (f"{CLIENT}, 10.1.2.3", "https", True),
        (f"{CLIENT}, 10.1.2.3, 10.1.2.4", "https, http", True),
    ],
)
async def test_the_scheme_is_the_one_that_the_client_used(ask, hops, sent, found):
    """Of several, the one that the proxy nearest to the client has written."""
    headers = (("X-Forwarded-For", hops), ("X-Forwarded-Proto", sent))
    assert (await ask(CHAIN, *headers))[1] is found


async def test_only_one_kind_of_header_is_read(ask):
    """A proxy that writes X-Forwarded-For may pass on a Forwarded that its client has made up."""
    forged = ("Forwarded", "for=203.0.113.9;proto=https")
    assert await ask(CHAIN, forged, ("X-Forwarded-For", CLIENT)) == (CLIENT, False)
    assert await ask(CHAIN, forged) == (PROXY, False)


async def test_the_history_and_the_log_name_the_client(open_client, caplog):
    """A command that came through a proxy is kept with the address of whoever sent it."""
    caplog.set_level("INFO", "bridge")
    client = await open_client(trusted_proxies=TrustedProxies.of(PROXY))
    running(client.deps)
    path = "/api/v1/sessions/run-1/commands"
    body = {"type": CommandType.PAUSE_TRAINING.name}
    headers = {"X-Forwarded-For": f"203.0.113.9, {CLIENT}"}

    assert (await client.post(path, json=body, headers=headers)).status in (200, 202)
    refused = await client.get("/healthz", headers={**headers, "Host": "rebound.example.org"})

    assert refused.status >= 400
    [command] = client.deps.commands.of("run-1")
    assert command.source.endswith(f"at {CLIENT}")
    fields = {record.message: record.fields for record in caplog.records}
    assert fields["command queued"]["remote"] == CLIENT
    assert fields["an HTTP client was refused"]["address"] == CLIENT


async def test_the_login_cookie_is_for_tls_alone(open_client, tmp_path):
    """Where the browser came over TLS, to a proxy that is believed."""
    door = asking_for(tmp_path / "tokens.yaml", EACH_ROLE)
    client = await open_client(trusted_proxies=TrustedProxies.of(PROXY), authentication=door)
    form = {"token": EACH_ROLE[1].token, "next": ""}

    async def cookie(proto):
        headers = {"X-Forwarded-Proto": proto}
        answer = await client.post("/login", data=form, headers=headers, allow_redirects=False)
        return answer.headers["Set-Cookie"]

    secure, plain = await cookie("https"), await cookie("http")
    assert secure.startswith("__Host-")
    assert "; Secure" in secure
    assert "Secure" not in plain


PUBLIC = "https://trainbridge.example.org"


@pytest.mark.parametrize(
    ("public", "host", "proto", "has_header"),
    [
        (PUBLIC, "trainbridge.example.org", "https", True),
        (PUBLIC, "trainbridge.example.org", "http", False),
        (PUBLIC, "localhost", "https", False),
        (f"{PUBLIC}:8443", "trainbridge.example.org:8443", "https", False),
        ("", "localhost", "https", False),
    ],
)
async def test_browsers_have_to_stay_with_tls(open_client, public, host, proto, has_header):
    """Over TLS, under a name that is the bridge's own: the header holds for all ports of a name."""
    client = await open_client(trusted_proxies=TrustedProxies.of(PROXY), public_url=public)

    response = await client.get("/healthz", headers={"Host": host, "X-Forwarded-Proto": proto})

    assert response.status == 200
    assert ("Strict-Transport-Security" in response.headers) is has_header


@pytest.mark.parametrize(("trusted", "expected"), [(PROXY, "https"), ("", "http")])
async def test_links_have_the_scheme_that_the_client_used(open_client, trusted, expected):
    """Also behind a proxy, if that is believed."""
    client = await open_client(trusted_proxies=TrustedProxies.of(trusted))
    running(client.deps)

    response = await client.get(
        "/api/v1/sessions/run-1",
        headers={"X-Forwarded-Proto": "https", "Host": "bridge.internal"},
    )

    assert f"{expected}://bridge.internal/" in await response.text()

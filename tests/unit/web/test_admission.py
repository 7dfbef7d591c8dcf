"""Each route, with each role, as each tenant: who is let through, and what they see."""

import base64
import re
import time
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from support.access import EACH_ROLE, Granted, asking_for
from support.pages import pictures, running
from support.peers import FakePeers
from support.runs import rank_session

from bridge.access import Authentication, Identity, Role
from bridge.access.identity import with_included
from bridge.connections import ConnectionCheck
from bridge.errors import PermissionDeniedError
from bridge.protocol import CommandType
from bridge.web.admission import INTERNAL, admitting
from bridge.web.alerts.bounds import AlertBounds
from bridge.web.app import ROUTES, Route
from bridge.web.cookies import NAME
from bridge.web.peers.receiving import receive_forwarded
from bridge.web.peers.ticket import HEADER, Ticket, body_hash, signed

ALERT = """{"version": "4", "status": "firing", "alerts": [{"status": "firing", "fingerprint": "f",
"startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
"labels": {"alertname": "Diverging", "session_id": "SESSION", "trainbridge_command": "PAUSE_TRAINING"}}]}"""


@dataclass(frozen=True)
class Sample:
    """A request that a route serves; SESSION stands for the name of a session."""

    path: str
    body: str | None = None
    type: str = "application/json"


FORM = "application/x-www-form-urlencoded"

BATCH = "/sessions/SESSION/batches/1-0"
ATTEMPT = "/sessions/SESSION/attempts/1"

SAMPLES = {
    "GET /": Sample("/?query=SESSION"),
    "GET /sessions/{session_id}": Sample("/sessions/SESSION"),
    "GET /sessions/{session_id}/attempts/{attempt}": Sample(ATTEMPT),
    "GET /sessions/{session_id}/batches/{epoch}-{batch}": Sample(BATCH),
    "GET /sessions/{session_id}/attempts/{attempt}/batches/{epoch}-{batch}": Sample(
        f"{ATTEMPT}/batches/1-0"
    ),
    "GET /runs/{run_id}": Sample("/runs/night"),
    "GET /compare": Sample("/compare?sessions=SESSION,b.own"),
    "GET /bridges": Sample("/bridges"),
    "GET /api/v1/bridges": Sample("/api/v1/bridges"),
    "GET /go/images": Sample("/go/images?session=SESSION&batch=1-0"),
    "GET /sessions/{session_id}/batches/{epoch}-{batch}/{position}.jpg": Sample(f"{BATCH}/0.jpg"),
    "GET /sessions/{session_id}/attempts/{attempt}/batches/{epoch}-{batch}/{position}.jpg": Sample(
        f"{ATTEMPT}/batches/1-0/0.jpg"
    ),
    "GET /sessions/{session_id}/latest/{slot}.jpg": Sample("/sessions/SESSION/latest/0.jpg"),
    "GET /sessions/{session_id}/sheet.jpg": Sample("/sessions/SESSION/sheet.jpg"),
    "POST /sessions/{session_id}/commands": Sample(
        "/sessions/SESSION/commands", "type=PAUSE_TRAINING&command_id=c1", FORM
    ),
    "POST /sessions/{session_id}/delete": Sample("/sessions/SESSION/delete", "", FORM),
    "GET /login": Sample("/login?next=sessions/SESSION"),
    "POST /login": Sample("/login", "token=tb_view_all&next=sessions/SESSION", FORM),
    "POST /logout": Sample("/logout", "", FORM),
    "GET /metrics": Sample("/metrics"),
    "GET /healthz": Sample("/healthz"),
    "GET /readyz": Sample("/readyz"),
    "GET /api/openapi.json": Sample("/api/openapi.json"),
    "GET /api/v1/sessions": Sample("/api/v1/sessions?query=SESSION"),
    "GET /api/v1/sessions/{session_id}": Sample("/api/v1/sessions/SESSION"),
    "DELETE /api/v1/sessions/{session_id}": Sample("/api/v1/sessions/SESSION?force=true"),
    "GET /api/v1/sessions/{session_id}/curves": Sample("/api/v1/sessions/SESSION/curves"),
    "GET /api/v1/sessions/{session_id}/events": Sample("/api/v1/sessions/SESSION/events"),
    "GET /api/v1/sessions/{session_id}/images": Sample("/api/v1/sessions/SESSION/images"),
    "GET /api/v1/sessions/{session_id}/batches/{epoch}-{batch}": Sample(f"/api/v1{BATCH}"),
    "GET /api/v1/runs/{run_id}": Sample("/api/v1/runs/night"),
    "GET /api/v1/compare": Sample("/api/v1/compare?sessions=SESSION,b.own"),
    "POST /api/v1/sessions/{session_id}/commands": Sample(
        "/api/v1/sessions/SESSION/commands", '{"type": "PAUSE_TRAINING", "command_id": "c2"}'
    ),
    "GET /api/v1/sessions/{session_id}/commands": Sample("/api/v1/sessions/SESSION/commands"),
    "POST /api/v1/alertmanager": Sample("/api/v1/alertmanager", ALERT),
    "GET /api/v1/annotations": Sample("/api/v1/annotations?session=SESSION,b.own"),
    "GET /internal/v1/shards/{key}": Sample("/internal/v1/shards/SESSION/x.tar?offset=0&length=1"),
}
"""By method and path: a route without one fails, and with it whoever forgot to think of who may."""

A, B = "a.run", "b.own"

MARK = "markofteama"
"""What nobody but team a may read, in whatever a session of theirs says of itself."""

TEAMS = tuple(Granted((role,), prefix) for role in Role for prefix in ("a.", "b."))


@dataclass
class Anybody:
    """Knows one token, of whatever length."""

    token: str

    async def identify(self, credentials):
        """Return a viewer."""
        return Identity("long", frozenset({Role.VIEW})) if credentials.token == self.token else None

    def is_current(self, identity):
        """Return that it is."""
        return identity.name == "long"


@pytest.fixture
def granted(tmp_path):
    """Return a door that admits each role, for all sessions and for those of team a and team b."""
    return asking_for(tmp_path / "tokens.yaml", (*EACH_ROLE, *TEAMS))


@dataclass
class OnlyTeamA:
    """An object store with images of a session of team a that this bridge does not know."""

    asked: list = field(default_factory=list)

    async def find(self, session_id, /, *, is_known, wait_seconds):
        """Return nothing, and note that somebody asked."""
        self.asked.append(session_id)


@pytest.fixture
async def client(granted, open_client, stored):
    """Return a client of a bridge with sessions of two teams, in memory and in the archive."""
    elsewhere = OnlyTeamA()
    client = await open_client(
        authentication=granted,
        alert_bounds=AlertBounds(frozenset(CommandType)),
        stored_sessions=elsewhere,
        connection_checks=lambda: (ConnectionCheck("store", "s3://team-bucket"),),
    )
    client.elsewhere = elsewhere
    for name in (A, "a.old", B):
        mark = MARK if name.startswith("a.") else "markofteamb"
        session = running(
            client.deps, name, model_name=f"{mark}-model", dataset_name=f"{mark}-data"
        )
        session.client.labels["who"] = mark
        stored.add(name, 1, 0, pictures())
    for rank, name in enumerate(("a.night", "b.night")):
        rank_session(rank, sessions=client.deps.sessions, session_id=name)
    client.deps.archive.kept["a.old"] = client.deps.sessions.get("a.old")
    client.deps.sessions.expire(client.deps.sessions.get("a.old"))
    return client


@pytest.fixture
async def sharing_client(granted, open_client, stored):
    """Return a client of a bridge that shares its database, with a session of team a."""
    client = await open_client(
        authentication=granted,
        alert_bounds=AlertBounds(frozenset(CommandType)),
        peers=FakePeers("here", SECRET),
    )
    running(client.deps, A, model_name=MARK)
    stored.add(A, 1, 0, pictures())
    for rank, name in enumerate(("a.night", "b.night")):
        rank_session(rank, sessions=client.deps.sessions, session_id=name)
    return client


async def answer(client, route, session, headers=()):
    """Request a route of a session; return the response, its body read."""
    sample = SAMPLES[f"{route.method} {route.plain}"]
    body = None if sample.body is None else sample.body.replace("SESSION", session)
    sent = {**dict(headers), **({"Content-Type": sample.type} if body is not None else {})}
    response = await client.request(
        route.method,
        sample.path.replace("SESSION", session),
        data=body,
        headers=sent,
        allow_redirects=False,
    )
    await response.read()
    return response


def each_route(*, among=ROUTES):
    """Parametrize by route."""
    return pytest.mark.parametrize(
        "route", among, ids=lambda route: f"{route.method} {route.plain}"
    )


GUARDED = [route for route in ROUTES if route.role is not None and not route.is_internal]
OF_A_SESSION = [route for route in GUARDED if "{session_id}" in route.plain]
"""Routes whose path names a session."""


@each_route(among=[route for route in ROUTES if not route.is_internal])
async def test_nobody_gets_past_a_role_without_credentials(client, route):
    """Without a token, with a wrong one, or with its hash there is a 401 that says how to ask; open routes answer."""
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dGI6dGI="}):
        client.session.cookie_jar.clear()
        response = await answer(client, route, A, headers)
        if route.role is None:
            assert response.status in (200, 303)
            continue
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="trainbridge"'
        assert MARK not in await response.text(errors="replace")


@each_route(among=GUARDED)
@pytest.mark.parametrize("one", EACH_ROLE, ids=lambda one: one.name)
async def test_a_role_admits_to_its_routes_alone(client, route, one):
    """With the role of a route it is served, with any other there is a 403 that names the one needed."""
    response = await answer(client, route, A, one.headers)
    may = route.role in one.roles or (route.role == Role.VIEW and one.roles == (Role.CONTROL,))
    if may:
        assert response.status in (200, 202, 302, 303), await response.text(errors="replace")
        return
    assert response.status == 403
    assert f"role {route.role}" in await response.text()


@each_route(among=OF_A_SESSION)
async def test_a_session_of_others_does_not_exist(client, route):
    """On every route a session outside of one's prefix is answered as one that was never registered."""
    other = Granted((str(route.role),), "b.")
    for name in (A, "a.old", "a.elsewhere"):
        response = await answer(client, route, name, other.headers)
        never = await answer(client, route, "b.never", other.headers)
        assert (
            response.status == never.status == (200 if route.plain.endswith("sheet.jpg") else 404)
        )
        texts = [await one.text(errors="replace") for one in (response, never)]
        assert texts[0].replace(name, "X") == texts[1].replace("b.never", "X")
    assert not [name for name in client.elsewhere.asked if name.startswith("a.")]


@each_route(among=GUARDED)
async def test_nothing_of_others_is_in_any_answer(client, route):
    """Whatever a tenant asks for, by whatever parameter, nothing that another's session says of itself comes back."""
    other = Granted((str(route.role),), "b.")
    for name in (A, "a.old", B):
        response = await answer(client, route, name, other.headers)
        body = await response.read()
        assert MARK.encode() not in body
        assert not re.search(rb"a\.(night|old)[^,&\"< ]*batches", body)
        if "night" in route.plain or route.plain.endswith("{run_id}"):
            assert b"a.night" not in body
            assert b"b.night" in body


@each_route(among=GUARDED)
async def test_ones_own_sessions_are_served(client, route):
    """A token with a prefix reaches everything of its own sessions."""
    own = Granted((str(route.role),), "a.")
    response = await answer(client, route, A, own.headers)
    assert response.status in (200, 202, 302, 303), await response.text(errors="replace")


async def test_a_command_of_others_is_not_carried_out(client):
    """Neither a form, nor the API, nor an alert reaches a session outside of one's prefix."""
    other = Granted(("control",), "b.")
    for route in GUARDED:
        if route.role is Role.CONTROL:
            await answer(client, route, A, other.headers)
    assert not client.deps.commands.of(A)
    assert not client.deps.delete_session.asked


async def test_a_command_says_whose_it_is(client):
    """The name of the token stands in the history, whatever name a program gives itself."""
    body = {"type": "PAUSE_TRAINING", "by": "the director"}
    one = Granted(("control",))
    response = await client.post(f"/api/v1/sessions/{A}/commands", json=body, headers=one.headers)
    assert response.status == 202
    assert (await response.json())[
        "sent_by"
    ] == "program control of all (the director) at 127.0.0.1"


PAGES = {"Accept": "text/html,*/*", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}


async def test_a_browser_is_led_to_the_login_and_back(client):
    """The page asked for comes after the token was given once, and every page after that; logging out ends it."""
    wanted = f"/sessions/{A}?note=queued"
    response = await client.get(wanted, headers=PAGES, allow_redirects=False)
    assert response.status == 303
    login = response.headers["Location"]
    assert login == f"../login?next=sessions/{A}?note%3Dqueued"
    form = {"token": EACH_ROLE[1].token, "next": f"sessions/{A}?note=queued"}
    response = await client.post("/login", data=form, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, f"./sessions/{A}?note=queued")
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith(f"{NAME}=")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
        assert part in cookie
    assert EACH_ROLE[1].token not in cookie
    page = await client.get(wanted, headers=PAGES)
    text = await page.text()
    assert page.status == 200
    assert "view of all" in text
    assert "Log out" in text
    assert "Pause" not in text
    response = await client.post(
        "/logout", headers={"Origin": str(client.make_url("/")).rstrip("/")}, allow_redirects=False
    )
    assert (response.status, response.headers["Location"]) == (303, "./login")
    response = await client.get(wanted, headers=PAGES, allow_redirects=False)
    assert response.status == 303


@pytest.mark.parametrize("token", ["", "wrong", EACH_ROLE[0].token])
async def test_a_login_that_fails_says_why(client, token):
    """No cookie is given, the token is not shown again, and the page says what to do."""
    response = await client.post(
        "/login", data={"token": token, "next": "x"}, allow_redirects=False
    )
    text = await response.text()
    assert response.status == (403 if token == EACH_ROLE[0].token else 401)
    assert "Set-Cookie" not in response.headers
    assert not token or f'"{token}"' not in text
    assert 'role="alert"' in text


async def test_a_token_that_no_browser_keeps_is_refused(open_client):
    """The page says so, in place of coming back again and again."""
    long = "x" * 3_000
    client = await open_client(authentication=Authentication((Anybody(long),)))
    response = await client.post("/login", data={"token": long}, allow_redirects=False)
    assert response.status == 403
    assert "longer than" in await response.text()


@pytest.mark.parametrize(
    "following",
    [
        "//evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "\\\\evil.example",
        "x\r\nSet-Cookie: a=b",
        "/../..//evil.example",
        "login?next=login",
        "x" * 3_000,
    ],
)
async def test_a_login_leads_to_pages_of_the_bridge_alone(client, following):
    """Whatever a link to the login says, what follows it is a page below the root of this bridge."""
    form = {"token": EACH_ROLE[1].token, "next": following}
    response = await client.post("/login", data=form, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, "./")


async def test_who_comes_from_another_site_is_sent_on_once(client):
    """A link of another site comes without the cookie; a page of the bridge leads on, now with it. Never twice."""
    foreign = {**PAGES, "Sec-Fetch-Site": "cross-site"}
    text = await (await client.get(f"/login?next=sessions/{A}", headers=foreign)).text()
    assert f'<meta http-equiv="refresh" content="0; url=./sessions/{A}">' in text
    own = {**PAGES, "Sec-Fetch-Site": "same-origin"}
    text = await (await client.get(f"/login?next=sessions/{A}", headers=own)).text()
    assert "refresh" not in text
    assert 'name="token"' in text
    framed = {**foreign, "Sec-Fetch-Dest": "iframe"}
    text = await (await client.get(f"/login?next=sessions/{A}", headers=framed)).text()
    assert 'http-equiv="refresh"' not in text
    assert 'target="_blank"' in text


@pytest.mark.parametrize("planted", ["dGJfdmlld19iLg", "", "x", '"dGJfdmlld19iLg"'])
async def test_a_neighbour_cannot_log_a_browser_in_as_somebody_else(client, planted):
    """A cookie of the same name for a shorter path, which browsers send behind the bridge's own, changes nothing."""
    own = base64.urlsafe_b64encode(EACH_ROLE[1].token.encode()).decode().rstrip("=")
    headers = {**PAGES, "Cookie": f"other=1; {NAME}={own}; {NAME}={planted}"}
    page = await client.get("/", headers=headers)
    assert page.status == 200
    assert "view of all" in await page.text()


async def test_a_browser_that_is_logged_in_says_where_it_posts_from(client):
    """With a cookie, a post without Origin and Sec-Fetch-Site is refused, and so is one from elsewhere."""
    await client.post("/login", data={"token": Granted(("control",)).token})
    path, form = f"/sessions/{A}/commands", {"type": "PAUSE_TRAINING"}
    home = str(client.make_url("/")).rstrip("/")
    for headers in (
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": home, "Sec-Fetch-Site": "same-site"},
    ):
        response = await client.post(path, data=form, headers=headers, allow_redirects=False)
        assert response.status == 403
    assert not client.deps.commands.of(A)
    response = await client.post(path, data=form, headers={"Origin": home}, allow_redirects=False)
    assert response.status == 303
    assert [one.source for one in client.deps.commands.of(A)] == [
        "person control of all at 127.0.0.1"
    ]


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({}, False),
        (Granted(("view",), "a.").headers, False),
        (Granted(("metrics",)).headers, False),
        (Granted(("view",)).headers, True),
    ],
    ids=str,
)
async def test_where_stores_are_is_for_who_may_see_everything(client, headers, shown):
    """A probe learns whether the bridge is ready; what it is connected to stands there for viewers of all sessions."""
    response = await client.get("/readyz?verbose", headers=headers)
    assert response.status == 200
    assert ("connection store (s3://team-bucket)" in await response.text()) is shown


async def test_images_are_kept_by_the_browser_alone(client, open_client):
    """What was shown to one person must not come out of a cache that others use."""
    one = Granted(("view",))
    response = await client.get(f"{BATCH.replace('SESSION', A)}/0.jpg", headers=one.headers)
    assert response.headers["Cache-Control"].startswith("private, ")
    anybody = await open_client()
    running(anybody.deps, A)
    response = await anybody.get(f"{BATCH.replace('SESSION', A)}/0.jpg")
    assert response.headers["Cache-Control"].startswith("public, ")


async def test_a_door_that_asks_for_nothing_has_no_login(open_client):
    """Whoever comes to the login is led on."""
    client = await open_client()
    response = await client.get("/login?next=compare", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, "./compare")


SECRET = b"secret of the database"


def passed_on(route, session, one, *, secret=SECRET, **changes):
    """Return the header with which another bridge passes on a request of somebody."""
    sample = SAMPLES[f"{route.method} {route.plain}"]
    body = (sample.body or "").replace("SESSION", session).encode()
    target = sample.path.replace("SESSION", session)
    roles = with_included(map(Role, one.roles))
    ticket = Ticket(
        *("here", route.method, target, time.time(), Identity(one.name, roles, one.sessions)),
        *("localhost", "http", "10.0.0.7", False, body_hash(body)),
    )
    return {HEADER: signed(replace(ticket, **changes), secret)}


WRONG = {
    "made up": lambda *_: {HEADER: "x.y"},
    "another secret": lambda route, one: passed_on(route, A, one, secret=b"another"),
    "another bridge": lambda route, one: passed_on(route, A, one, to="there"),
    "another method": lambda route, one: passed_on(route, A, one, method="PUT"),
    "another target": lambda route, one: passed_on(route, A, one, target="/x"),
    "another body": lambda route, one: passed_on(route, A, one, body_sha256="0" * 64),
    "another time": lambda route, one: passed_on(route, A, one, at=time.time() - 61),
}


@each_route(among=GUARDED)
@pytest.mark.parametrize("case", WRONG)
async def test_what_no_bridge_has_passed_on_is_refused(sharing_client, route, case):
    """Whoever shows a header of bridges without their proof gets a 403, also with a token that is good for the route."""
    one = Granted((str(route.role),))
    headers = WRONG[case](route, one) | one.headers
    response = await answer(sharing_client, route, A, headers)
    assert response.status == 403
    assert MARK not in await response.text(errors="replace")


@each_route()
async def test_a_bridge_with_a_database_of_its_own_believes_no_other(client, route):
    """There is no proof that would be good."""
    response = await answer(client, route, A, passed_on(route, A, Granted(("control",))))
    assert response.status == 403


@each_route(among=GUARDED)
async def test_what_a_bridge_has_passed_on_is_as_who_made_it(sharing_client, route):
    """With the role and the prefix of the one who came to the other bridge: neither more nor less."""
    right, team = str(route.role), Granted((str(route.role),), "b.")
    response = await answer(sharing_client, route, A, passed_on(route, A, Granted((right,))))
    assert response.status in (200, 202, 302, 303), await response.text(errors="replace")
    wrong = "ingest" if right != "ingest" else "view"
    response = await answer(sharing_client, route, A, passed_on(route, A, Granted((wrong,))))
    assert response.status == 403
    response = await answer(sharing_client, route, A, passed_on(route, A, team))
    assert MARK.encode() not in await response.read()


async def test_what_bridges_alone_may_ask_is_for_nobody_else(granted, open_client):
    """A token with every role is not enough; a request that a bridge has signed is."""
    client = await open_client(authentication=granted, peers=FakePeers("here", SECRET))

    async def endpoint(_request):
        return web.Response(text="for bridges")

    served = admitting(Role.VIEW, endpoint, is_internal=True)
    route = Route("GET", "/healthz", endpoint, Role.VIEW)
    token = make_mocked_request("GET", "/healthz", Granted(("view",)).headers, app=client.app)
    with pytest.raises(PermissionDeniedError, match=INTERNAL):
        await receive_forwarded(token, served)
    signed_by_bridge = {"Host": "localhost", **passed_on(route, A, Granted(("view",)))}
    request = make_mocked_request("GET", "/healthz", signed_by_bridge, app=client.app)
    assert (await receive_forwarded(request, served)).status == 200


def test_there_is_a_sample_of_each_route():
    """A route that is new is thought of here, too."""
    assert {f"{route.method} {route.plain}" for route in ROUTES} <= SAMPLES.keys()

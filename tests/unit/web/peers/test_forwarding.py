"""Two bridges on one database: whichever is asked for a session, the one that has it answers."""

import asyncio
import re
import time

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.access import Granted, asking_for
from support.pages import pictures, running
from support.peers import FakePeers

from bridge.model import Status, StatusChange
from bridge.session_snapshot import session_from, snapshot_of
from bridge.web.dependencies import DEPENDENCIES
from bridge.web.peers import connections
from bridge.web.peers.connections import PeerConnections
from bridge.web.peers.sharing import Peer
from bridge.web.peers.staleness import HEADER as STALE
from bridge.web.peers.ticket import ANSWERED, HEADER, answer_proof

SECRET = b"secret of the database"
MINE, THEIRS = "mine", "theirs"
VIEW, CONTROL = Granted(("view",)), Granted(("control",))
TEAM = Granted(("view",), "b.")
EACH = (VIEW, CONTROL, TEAM)

PATHS = (
    f"/sessions/{THEIRS}",
    f"/sessions/{THEIRS}/attempts/1",
    f"/sessions/{THEIRS}/batches/1-0",
    f"/api/v1/sessions/{THEIRS}",
    f"/api/v1/sessions/{THEIRS}/curves",
    f"/api/v1/sessions/{THEIRS}/events",
    f"/api/v1/sessions/{THEIRS}/images",
    f"/api/v1/sessions/{THEIRS}/batches/1-0",
    f"/api/v1/sessions/{THEIRS}/commands",
    f"/go/images?session={THEIRS}&epoch=1",
)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Give a bridge on a machine with much to do more than its second."""
    monkeypatch.setattr(connections, "SECONDS", 60.0)


@pytest.fixture
async def bridges(open_client, stored, tmp_path):
    """Return two bridges that share an index, an archive and what they know of each other; the second has the session."""

    async def opened(**changes):
        owners = {}
        found = []
        archive = None
        for name in ("here", "there"):
            client = await open_client(
                peers=FakePeers(name, SECRET, owners=owners),
                peer_connections=PeerConnections(SECRET),
                **({"archive": archive} if archive else {}),
                **changes,
            )
            archive = client.app[DEPENDENCIES].archive.archive
            found.append(client)
        here, there = found
        session = running(there.deps, THEIRS, batches=5)
        stored.add(THEIRS, 1, 0, pictures())
        owners[THEIRS] = Peer("there", str(there.make_url("/")).rstrip("/"))
        archive.kept[THEIRS] = session_from(snapshot_of(session))
        running(here.deps, MINE)
        here.owners, here.archive = owners, archive
        return here, there

    return opened


def gone(here):
    """Have the bridge that has the session answer nothing any more."""
    here.owners[THEIRS] = Peer("there", "http://127.0.0.1:1")


@pytest.mark.parametrize("path", PATHS)
async def test_the_bridge_that_has_a_session_answers(bridges, path):
    """Status, body, content type and security headers are as if it had been asked itself."""
    here, there = await bridges()
    there.deps.sessions.get(THEIRS).loss = 0.625  # which no checkpoint has
    own = await there.get(path, allow_redirects=False)
    passed = await here.get(path, allow_redirects=False)
    for response in (own, passed):
        response.text_read = (await response.text()).replace(str(here.port), str(there.port))
    assert passed.status == own.status
    assert _timeless(passed.text_read) == _timeless(own.text_read)
    for name in ("Content-Type", "Cache-Control", "Location", "Content-Security-Policy", "Server"):
        assert passed.headers.getall(name, []) == own.headers.getall(name, [])
    assert STALE not in passed.headers


def _timeless(text):
    return re.sub(r"[0-9a-f]{16}|\d+\.\d+|\d+ m?s\b", "", text)


async def test_links_lead_back_to_the_bridge_that_was_asked(bridges):
    """A program that follows them stays at the name it knows."""
    here, _ = await bridges()
    session = await (await here.get(f"/api/v1/sessions/{THEIRS}")).json()
    assert session["url"] == f"http://127.0.0.1:{here.port}/sessions/{THEIRS}"
    assert session["stale_seconds"] is None


@pytest.mark.parametrize("path", PATHS)
async def test_a_bridge_that_does_not_answer_costs_no_page(bridges, path):
    """What was written last is shown, and how old it is; nothing fails."""
    here, _ = await bridges()
    gone(here)
    here.archive.kept[THEIRS].updated_at = time.time() - 12
    response = await here.get(path, allow_redirects=False)
    text = await response.text()
    assert response.status in (200, 302), text
    assert 11 <= int(response.headers[STALE]) <= 20
    if path.startswith("/sessions"):
        assert "As of 1" in text
        assert "s ago: bridge there, which has this session, does not answer." in text


async def test_an_old_page_does_not_say_that_a_run_stands_still(bridges):
    """Nothing is known of its steps since then."""
    here, there = await bridges()
    for session in (there.deps.sessions.get(THEIRS), here.archive.kept[THEIRS]):
        session.apply(StatusChange(Status.RUNNING), session.registered_at)
        session.stepped_at = time.time() - 900
    assert "No step for" in await (await here.get(f"/sessions/{THEIRS}")).text()
    gone(here)
    text = await (await here.get(f"/sessions/{THEIRS}")).text()
    assert "does not answer" in text
    assert "No step for" not in text


async def test_a_program_reads_how_old_it_is(bridges):
    """The session is connected as it was, and not as if nobody had it."""
    here, _ = await bridges()
    gone(here)
    here.archive.kept[THEIRS].updated_at = time.time() - 12
    session = await (await here.get(f"/api/v1/sessions/{THEIRS}")).json()
    assert 11 <= session["stale_seconds"] <= 20
    assert session["connected"] is True


async def test_a_bridge_that_hangs_holds_up_one_page_by_a_second(bridges, monkeypatch):
    """The next pages do not wait again."""
    monkeypatch.setattr(connections, "SECONDS", 1.0)
    monkeypatch.setattr(connections, "SILENT_SECONDS", 600.0)
    here, _ = await bridges()
    asked = []

    async def hang(request):
        asked.append(request.path)
        await asyncio.sleep(60)

    app = web.Application()
    app.router.add_get("/{path:.*}", hang)
    async with TestServer(app) as server:
        here.owners[THEIRS] = Peer("there", str(server.make_url("/")).rstrip("/"))
        for _ in range(5):
            response = await here.get(f"/sessions/{THEIRS}")
            assert response.status == 200
            assert STALE in response.headers
    assert len(asked) == 1


@pytest.mark.parametrize("status", [403, 421, 500, 503])
async def test_an_error_of_the_other_bridge_is_not_shown(bridges, status):
    """What is known here is."""
    here, _ = await bridges()

    async def fail(request):
        proof = answer_proof(request.headers[HEADER], SECRET)
        return web.Response(status=status, text="a fault", headers={ANSWERED: proof})

    app = web.Application()
    app.router.add_get("/{path:.*}", fail)
    async with TestServer(app) as server:
        here.owners[THEIRS] = Peer("there", str(server.make_url("/")).rstrip("/"))
        response = await here.get(f"/sessions/{THEIRS}")
    assert response.status == 200
    assert "does not answer" in await response.text()


async def test_what_is_not_known_there_is_not_known_here(bridges):
    """The answer of the bridge that has the session counts, also where it is an error of whoever asks."""
    here, _ = await bridges()
    response = await here.get(f"/sessions/{THEIRS}/attempts/7")
    assert response.status == 404
    assert "no attempt 7" in await response.text()


async def test_a_request_is_passed_on_once(bridges):
    """Two bridges that each take the other for the owner answer from the checkpoint, and do not ask each other for good."""
    here, there = await bridges()
    there.deps.sessions.expire(there.deps.sessions.get(THEIRS))
    there.app[DEPENDENCIES].peers.owners = {
        THEIRS: Peer("here", str(here.make_url("/")).rstrip("/"))
    }
    response = await here.get(f"/sessions/{THEIRS}")
    assert response.status == 200
    assert STALE not in response.headers


async def test_a_deletion_is_passed_on_once_and_says_who_asked(bridges):
    """The bridge that has the session carries it out."""
    here, there = await bridges()
    response = await here.delete(f"/api/v1/sessions/{THEIRS}?images=true")
    assert response.status == 202
    assert there.deps.delete_session.asked == [(THEIRS, True, False, "program at 127.0.0.1")]
    form = {"images": "on"}
    response = await here.post(f"/sessions/{THEIRS}/delete", data=form, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (
        303,
        "../../?note=deleted-with-images",
    )
    assert [one[1] for one in there.deps.delete_session.asked] == [True, True]
    assert not here.deps.delete_session.asked


async def test_a_deletion_that_nobody_answers_says_so(bridges):
    """It is not carried out here, and not tried again: 503, with what to do."""
    here, there = await bridges()
    gone(here)
    response = await here.delete(f"/api/v1/sessions/{THEIRS}")
    assert response.status == 503
    assert (
        "bridge there, which has this session, does not answer" in (await response.json())["detail"]
    )
    assert not here.deps.delete_session.asked
    assert not there.deps.delete_session.asked


async def test_whoever_is_let_in_here_is_let_in_there(bridges, tmp_path):
    """Nobody shows the other bridge a token, and what a role or a prefix rules out is ruled out there."""
    here, there = await bridges(authentication=asking_for(tmp_path / "tokens.yaml", EACH))
    path = f"/api/v1/sessions/{THEIRS}"
    assert (await here.get(path)).status == 401
    assert (await here.get(path, headers=VIEW.headers)).status == 200
    assert (await here.get(path, headers=TEAM.headers)).status == 404
    assert (await here.delete(path, headers=VIEW.headers)).status == 403
    assert (await here.delete(path, headers=CONTROL.headers)).status == 202
    [(_, _, _, by)] = there.deps.delete_session.asked
    assert by == "program control of all at 127.0.0.1"


async def test_a_session_of_others_is_not_asked_for(bridges, tmp_path):
    """A tenant does not learn that a bridge has it."""
    here, _ = await bridges(authentication=asking_for(tmp_path / "tokens.yaml", EACH))
    gone(here)
    response = await here.get(f"/sessions/{THEIRS}", headers=TEAM.headers)
    assert response.status == 404
    assert "does not answer" not in await response.text()


async def test_a_bridge_that_is_one_of_many_names_is_asked_under_its_own(bridges):
    """The name that a browser gave the first bridge counts, whatever the second one is called."""
    here, _ = await bridges(allowed_hosts=("bridge.example",))
    path, headers = f"/api/v1/sessions/{THEIRS}", {"Host": "bridge.example"}
    session = await (await here.get(path, headers=headers)).json()
    assert session["url"] == f"http://bridge.example/sessions/{THEIRS}"
    assert session["stale_seconds"] is None
    assert (await here.get(path, headers={"Host": "evil.example"})).status == 421


async def test_below_a_public_path_links_are_the_same(bridges):
    """Whether or not a proxy removes the path."""
    here, _ = await bridges(public_url="https://tools.example/bridge")
    for path in (f"/sessions/{THEIRS}", f"/bridge/sessions/{THEIRS}"):
        text = await (await here.get(path)).text()
        assert 'href="../static/style.css"' in text
        assert "does not answer" not in text


async def test_with_a_database_of_its_own_nothing_is_asked(open_client):
    """What is not here is not known."""
    client = await open_client()
    assert (await client.get(f"/sessions/{THEIRS}")).status == 404

"""Which bridges share a database: on a page, as JSON, and for whom."""

import pytest
from support.access import Granted, asking_for
from support.peers import FakePeers, sharing

from bridge.web.peers.sharing import Peer

ALL, TEAM = Granted(("view",)), Granted(("view",), "a.")

KNOWN = [
    sharing(Peer("here", "http://10.0.0.1:8080"), sessions=3),
    sharing(Peer("there", "http://10.0.0.2:8080"), seen_seconds=75.0, is_alive=False, sessions=2),
]


@pytest.fixture
def peers():
    """Return what one of two bridges knows."""
    return FakePeers("here", known=KNOWN)


async def test_the_page_shows_each_bridge(open_client, peers):
    """When it was seen, what it has, which one this is; and what an Ack means here."""
    client = await open_client(peers=peers)
    text = await (await client.get("/bridges")).text()
    assert peers.acknowledgement in text
    for shown in (
        "here <small>this one</small>",
        "http://10.0.0.2:8080",
        "1 min 15 s ago",
        "gone",
        "1.2.3",
    ):
        assert shown in text
    assert 'href="./bridges"' in await (await client.get("/")).text()


@pytest.mark.parametrize(
    ("seen_seconds", "is_alive", "state"),
    [(0.5, True, "alive"), (12.0, True, "silent"), (75.0, False, "gone")],
)
async def test_the_state_is_one_word(open_client, seen_seconds, is_alive, state):
    """A bridge that hangs is seen as silent at once, before the others take its sessions."""
    known = [sharing(Peer("it", "http://x"), seen_seconds=seen_seconds, is_alive=is_alive)]
    client = await open_client(peers=FakePeers("here", known=known))

    text = await (await client.get("/bridges")).text()

    assert f">{state}</span>" in text


async def test_programs_read_the_same(open_client, peers):
    """As JSON."""
    client = await open_client(peers=peers)
    answer = await (await client.get("/api/v1/bridges")).json()
    assert (answer["bridge_id"], answer["acknowledgement"]) == ("here", peers.acknowledgement)
    here, there = answer["bridges"]
    assert here == {
        "bridge_id": "here",
        "this": True,
        "url": "http://10.0.0.1:8080",
        "version": "1.2.3",
        "started_at": 1_700_000_000.0,
        "seen_seconds": 0.5,
        "alive": True,
        "sessions": 3,
    }
    assert (there["this"], there["alive"], there["seen_seconds"]) == (False, False, 75.0)


async def test_while_the_database_is_away_the_page_says_so(open_client, peers):
    """It is not an error of whoever looks; a program gets one."""
    peers.is_away = True
    client = await open_client(peers=peers)
    response = await client.get("/bridges")
    assert response.status == 200
    assert "The database does not answer at the moment" in await response.text()
    assert (await client.get("/api/v1/bridges")).status == 503


async def test_a_tenant_sees_no_bridges(open_client, peers, tmp_path):
    """What an Ack means is for everybody who sends."""
    client = await open_client(
        peers=peers, authentication=asking_for(tmp_path / "tokens.yaml", (ALL, TEAM))
    )
    answer = await (await client.get("/api/v1/bridges", headers=TEAM.headers)).json()
    assert (answer["bridges"], answer["acknowledgement"]) == ([], peers.acknowledgement)
    text = await (await client.get("/bridges", headers=TEAM.headers)).text()
    assert "10.0.0" not in text
    answer = await (await client.get("/api/v1/bridges", headers=ALL.headers)).json()
    assert len(answer["bridges"]) == 2


async def test_a_bridge_with_a_database_of_its_own_says_so(open_client):
    """And has no link to the page."""
    client = await open_client()
    assert "a database of its own" in await (await client.get("/bridges")).text()
    assert await (await client.get("/api/v1/bridges")).json() == {
        "bridge_id": None,
        "acknowledgement": None,
        "bridges": [],
    }
    assert "bridges" not in await (await client.get("/")).text()

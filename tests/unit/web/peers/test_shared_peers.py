"""What a bridge asks its database about others: seldom, and what they know lasts while the database is away."""

from dataclasses import dataclass, field

import pytest

from bridge.errors import StorageError
from bridge.storage.peer_rows import BridgeAddress, BridgeRow
from bridge.web.peers.shared_peers import AWAY_SECONDS, FRESH_SECONDS, KEPT_SECONDS, SharedPeers
from bridge.web.peers.sharing import Peer

THERE = BridgeAddress("there", "http://there:8080", "")
PEER = Peer("there", "http://there:8080")


@dataclass
class FakeRows:
    """A database of which a test says what is in it, and whether it answers."""

    bridge_id: str = "here"
    dead_ms: int = 30_000
    owners: dict = field(default_factory=lambda: {"run": THERE})
    is_away: bool = False
    asked: list = field(default_factory=list)

    def secret(self):
        return b"secret"

    def owner_of(self, session_id):
        self._ask(session_id)
        return self.owners.get(session_id)

    def elsewhere(self):
        self._ask("all")
        names = {name: owner.bridge_id for name, owner in self.owners.items()}
        return names, {owner.bridge_id: owner for owner in self.owners.values()}

    def bridges(self):
        self._ask("bridges")
        return [BridgeRow(THERE, "1.0", 5, 31_000, 2), BridgeRow(THERE, "1.0", 5, -3, 0)]

    def _ask(self, what):
        self.asked.append(what)
        if self.is_away:
            raise StorageError("away")


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def rows():
    """Return a database in which another bridge has a run."""
    return FakeRows()


@pytest.fixture
def clock():
    """Return a clock that stands."""
    return Clock()


@pytest.fixture
def peers(rows, clock):
    """Return what a bridge knows of the others."""
    return SharedPeers(rows, "An Ack means this.", clock)


def test_who_has_a_session_is_asked_once_a_second(peers, rows, clock):
    """And a session that nobody else has is one of these, too."""
    for _ in range(3):
        assert peers.owner_of("run") == PEER
        assert peers.owner_of("none") is None
    assert rows.asked == ["run", "none"]
    del rows.owners["run"]
    clock.now += FRESH_SECONDS
    assert peers.owner_of("run") is None


def test_a_list_answers_for_each_session(peers, rows, clock):
    """Whoever has asked for all sessions asks for none of them again within a second."""
    assert peers.elsewhere() == {"run": "there"}
    assert peers.elsewhere() == {"run": "there"}
    assert peers.owner_of("run") == PEER
    assert peers.owner_of("none") is None
    assert rows.asked == ["all"]
    clock.now += FRESH_SECONDS
    assert peers.elsewhere() == {"run": "there"}
    assert rows.asked == ["all", "all"]


def test_while_the_database_is_away_what_was_known_counts(peers, rows, clock):
    """For minutes; it is asked again after some seconds, not by each page."""
    peers.owner_of("run")
    peers.elsewhere()
    rows.is_away = True
    rows.asked.clear()
    clock.now += FRESH_SECONDS
    for _ in range(3):
        assert peers.owner_of("run") == PEER
        assert peers.owner_of("never heard of") is None
        assert peers.elsewhere() == {"run": "there"}
    assert rows.asked == ["run"]
    clock.now += AWAY_SECONDS
    assert peers.owner_of("run") == PEER
    assert rows.asked == ["run", "run"]
    clock.now += KEPT_SECONDS
    assert peers.owner_of("run") is None


def test_what_is_known_of_bridges_is_shown(peers, rows):
    """One that was not seen for too long is not alive; no clock makes a time negative."""
    silent, fresh = peers.bridges()
    assert (silent.peer, silent.is_alive, silent.seen_seconds, silent.sessions) == (
        PEER,
        False,
        31,
        2,
    )
    assert (fresh.is_alive, fresh.seen_seconds) == (True, 0)
    rows.is_away = True
    with pytest.raises(StorageError):
        peers.bridges()


def test_it_knows_the_secret_and_what_an_ack_means(peers):
    """As the database has them."""
    assert (peers.bridge_id, peers.secret, peers.acknowledgement) == (
        "here",
        b"secret",
        "An Ack means this.",
    )

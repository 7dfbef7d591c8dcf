"""Lists of sessions that several bridges have: what is read for them, and how often."""

from dataclasses import dataclass, field

import pytest
from support.pages import FakeArchive, deps_in, running
from support.peers import FakePeers

from bridge.access import ANYONE
from bridge.session_snapshot import session_from, snapshot_of
from bridge.session_summary import session_from_summary, summary_of
from bridge.web.database_absence import DatabaseAbsence
from bridge.web.peers.sharing import Peer
from bridge.web.session_catalog import SessionCatalog

THERE = Peer("there", "http://there:8080")


@dataclass
class CountingArchive(FakeArchive):
    """Counts what is read whole, and what in summary."""

    has_summaries: bool = True
    whole: list = field(default_factory=list)
    in_summary: list = field(default_factory=list)

    def find(self, session_id, attempt=None):
        self.whole.append(session_id)
        return super().find(session_id, attempt)

    def summaries(self, session_ids):
        if not self.has_summaries:
            return {}
        self.in_summary.extend(session_ids)
        kept = {name: self.kept[name] for name in session_ids if name in self.kept}
        return {
            name: session_from_summary(summary_of(snapshot_of(one))) for name, one in kept.items()
        }


@pytest.fixture
def archive():
    """Return an archive that counts."""
    return CountingArchive()


@pytest.fixture
def deps(tmp_path, stored, archive):
    """Return what lists are made of, with a session here, one of another bridge, and one that nobody has."""
    deps, _ = deps_in(tmp_path, stored=stored, archive=archive, peers=FakePeers())
    for name in ("here", "there", "over"):
        session = running(deps, name)
        if name != "here":
            archive.kept[name] = session_from(snapshot_of(session))
            deps.sessions.expire(session)
    deps.peers.owners["there"] = THERE
    return deps


async def rows_of(catalog):
    """Return the rows of a list, by session."""
    return {row.id: row for row in await catalog.rows(ANYONE)}


@pytest.mark.parametrize("has_summaries", [True, False])
async def test_a_session_of_another_bridge_is_as_that_says(deps, archive, has_summaries):
    """It is connected where it was when it was written last; one that nobody has is not."""
    archive.has_summaries = has_summaries
    rows = await rows_of(SessionCatalog(deps, DatabaseAbsence(is_shared=True)))
    assert {name: row.is_connected for name, row in rows.items()} == {
        "here": True,
        "there": True,
        "over": False,
    }
    assert rows["there"].state == "running"


async def test_only_what_has_changed_is_read_again(deps, archive):
    """And of that only the summary."""
    catalog = SessionCatalog(deps, DatabaseAbsence(is_shared=True))
    for _ in range(3):
        await catalog.rows(ANYONE)
    assert sorted(archive.in_summary) == ["over", "there"]
    archive.in_summary.clear()
    archive.kept["there"] = session_from(snapshot_of(archive.kept["there"]))
    await catalog.rows(ANYONE)
    assert archive.in_summary == ["there"]
    assert not archive.whole


async def test_who_has_a_session_counts_at_once(deps):
    """A session whose bridge has given it up is not connected any more, though nothing of it was written."""
    catalog = SessionCatalog(deps, DatabaseAbsence(is_shared=True))
    assert (await rows_of(catalog))["there"].is_connected
    deps.peers.owners.clear()
    assert not (await rows_of(catalog))["there"].is_connected

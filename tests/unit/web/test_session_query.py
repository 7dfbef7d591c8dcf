"""Sessions in the order, and from the place, that a list asks for."""

from dataclasses import dataclass, replace

import pytest
from support.pages import running

from bridge.errors import InvalidDataError
from bridge.web.session_catalog import SessionRow
from bridge.web.session_query import SessionQuery, Sort

ROW = SessionRow("a", "running", True, True, "", "", 0.0, 0.0, None)

ROWS = [
    replace(ROW, id="b", registered_at=3.0, updated_at=4.0, model="unet", loss=0.5),
    replace(ROW, id="C", registered_at=2.0, updated_at=9.0, is_live=False),
    replace(ROW, id="a", registered_at=1.0, updated_at=5.0, model="Bert", loss=-1.0),
]


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        (Sort.LIVE, "baC"),
        (Sort.NEWEST, "bCa"),
        (Sort.OLDEST, "aCb"),
        (Sort.UPDATED, "Cab"),
        (Sort.NAME, "abC"),
        (Sort.MODEL, "abC"),
        (Sort.LOSS, "abC"),
    ],
)
def test_every_order(sort, ids):
    """What was not reported comes last, and a cursor goes on where the list stopped."""
    query = SessionQuery(sort=sort)

    rows = query.select(ROWS)
    rest = query.rows_after(query.cursor(rows[0]), rows)

    assert "".join(row.id for row in rows) == ids
    assert rest == rows[1:]


def test_a_cursor_stays_right_while_sessions_come_and_go():
    """Neither a new session nor one that is gone makes a list repeat or leave out another."""
    query = SessionQuery(sort=Sort.NEWEST)
    rows = query.select(ROWS)
    changed = query.select([replace(ROW, id="new", registered_at=9.0), *rows[1:]])

    assert query.rows_after(query.cursor(rows[0]), changed) == rows[1:]


@pytest.mark.parametrize("cursor", ["x", "WyJsaXZlIl0", "bnVsbA", "\N{SNOWMAN}", "W" * 900])
def test_a_cursor_that_was_made_up_is_refused(cursor):
    """Whatever it holds, the sentence says where a right one comes from."""
    with pytest.raises(InvalidDataError, match="`next`"):
        SessionQuery().rows_after(cursor, ROWS)


def test_a_cursor_of_another_order_is_refused():
    """It would skip sessions at random."""
    cursor = SessionQuery(sort=Sort.NAME).cursor(ROW)

    with pytest.raises(InvalidDataError, match="same order"):
        SessionQuery(sort=Sort.LOSS).rows_after(cursor, ROWS)


@dataclass(frozen=True)
class Entry:
    """Stands for a session in an archive."""

    session_id: str
    version: str


async def test_an_archived_session_is_read_once(open_client):
    """However often a list is asked for, only what has changed is read again."""

    class Counting:
        entry = "first"
        reads = 0

        def entries(self, limit):
            return [Entry("old", self.entry)]

        def summaries(self, session_ids):
            self.reads += len(session_ids)
            return {}

        def find(self, session_id):
            return None

    archive = Counting()
    client = await open_client(archive=archive)
    running(client.deps)
    for _ in range(3):
        await client.get("/api/v1/sessions")
    archive.entry = "second"
    await client.get("/")

    assert archive.reads == 2

"""A session is deleted over the API by programs and by our own pages."""

import pytest
from support.pages import FakeArchive, FakeDeleter, running

from bridge.errors import SessionRunningError, StorageError
from bridge.model import Client, Config
from bridge.session import Session

PATH = "/api/v1/sessions/run-1"


@pytest.mark.parametrize(
    ("query", "images", "force"),
    [("", False, False), ("?images=true", True, False), ("?images=false&force=True", False, True)],
)
async def test_a_session_is_deleted(open_client, query, images, force):
    """202, since what stores have of it follows; the bridge learns who asked."""
    client = await open_client()
    running(client.deps)

    response = await client.delete(PATH + query)

    assert response.status == 202
    assert await response.json() == {
        "session_id": "run-1",
        "attempt": None,
        "images": images,
    }
    assert client.deps.delete_session.asked == [("run-1", images, force, "program at 127.0.0.1")]


async def test_one_attempt_is_deleted(open_client):
    """Only one that there is: the newest, or a former one; the others are named."""
    former = Session("run-1", Client(), Config(), now=1.0)
    client = await open_client(archive=FakeArchive(former=[former]))
    newest = client.deps.sessions.register("run-1", Client(), Config()).session
    newest.attempt = 3

    deleted = [(await client.delete(f"{PATH}?attempt={number}")).status for number in (1, 3)]
    missing = await client.delete(f"{PATH}?attempt=2")
    invalid = await client.delete(f"{PATH}?attempt=0")

    assert deleted == [202, 202]
    assert missing.status == 404
    assert "no attempt 2: kept are 1, 3" in (await missing.text())
    assert invalid.status == 400
    assert [whom for whom, *_ in client.deps.delete_session.asked] == [("run-1", 1), ("run-1", 3)]


async def test_what_cannot_be_deleted(open_client):
    """Unknown, still running, a parameter that means nothing, a disk that fails: each says so, and nothing is done."""
    client = await open_client(delete_session=FakeDeleter(error=SessionRunningError("it runs")))
    running(client.deps)

    unknown = await client.delete("/api/v1/sessions/nobody")
    invalid = await client.delete(f"{PATH}?images=yes")
    busy = await client.delete(PATH)

    assert (unknown.status, invalid.status, busy.status) == (404, 400, 409)
    assert (await invalid.json())["detail"] == "images must be true or false"
    assert (await busy.json())["detail"] == "it runs"
    client.deps.delete_session.error = StorageError("the disk")
    assert (await client.delete(PATH)).status == 503


async def test_no_other_site_deletes(open_client):
    """A page that an engineer happens to open must not reach the bridge on their machine."""
    client = await open_client()
    running(client.deps)

    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await client.delete(PATH, headers=headers)).status == 403
    assert client.deps.delete_session.asked == []

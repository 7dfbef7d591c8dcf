"""A session is deleted from its page."""

import pytest
from support.pages import FakeDeleter, running

from bridge.errors import SessionRunningError
from bridge.lifecycle import Ended
from bridge.model import Stage, Status, StatusChange

PATH = "/sessions/run-1/delete"


def over(deps):
    """End a session."""
    session = running(deps)
    session.apply(StatusChange(Status.COMPLETED), 2.0)
    session.apply(Ended(Stage.ENDED), 2.0)


async def test_only_a_session_that_is_over_has_the_form(open_client):
    """A run that goes on is stopped first."""
    client = await open_client()
    session = running(client.deps)
    before = await (await client.get("/sessions/run-1")).text()
    session.apply(Ended(Stage.ENDED), 2.0)
    after = await (await client.get("/sessions/run-1")).text()

    assert "/delete" not in before
    assert 'action="../sessions/run-1/delete"' in after


@pytest.mark.parametrize(
    ("body", "images", "said"),
    [
        ("", False, "Its images stay where they are stored."),
        ("images=true", True, "Its images follow in the background."),
    ],
)
async def test_the_form_deletes_and_leads_to_the_list(open_client, body, images, said):
    """With its images where that is ticked; the list says that it was done, and what becomes of the images."""
    client = await open_client()
    over(client.deps)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    response = await client.post(PATH, data=body, headers=headers)

    assert client.deps.delete_session.asked == [("run-1", images, False, "person at 127.0.0.1")]
    assert response.url.path == "/"
    assert f"The session is deleted. {said}" in await response.text()


async def test_what_is_refused(open_client):
    """Another site's page, another kind of body, a session that runs."""
    client = await open_client(delete_session=FakeDeleter(error=SessionRunningError("it runs")))
    over(client.deps)
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    foreign = await client.post(PATH, headers={**form, "Sec-Fetch-Site": "cross-site"})
    other = await client.post(PATH, json={})
    busy = await client.post(PATH, headers=form)

    assert (foreign.status, other.status, busy.status) == (403, 415, 409)
    assert "It runs." in await busy.text()

"""Errors of requests."""

import pytest
from support.pages import FakeDeleter, running

from bridge.errors import SessionRunningError


async def test_errors_of_the_api_are_problems(open_client):
    """Programs get RFC 9457 problem JSON, also for unknown addresses and methods."""
    client = await open_client()

    missing = await client.get("/api/v1/nothing")
    wrong = await client.delete("/api/v1/sessions")

    assert (missing.status, missing.content_type) == (404, "application/problem+json")
    assert (await missing.json(content_type=None))["status"] == 404
    assert wrong.status == 405
    assert wrong.headers["Allow"] == "GET, HEAD"
    problem = await wrong.json(content_type=None)
    assert set(problem) == {"type", "title", "status", "detail"}


async def test_errors_of_pages_are_pages(open_client):
    """People get a page with a sentence, and a way out that works at any depth."""
    client = await open_client()

    response = await client.get("/a/b/c")

    text = await response.text()
    assert (response.status, response.content_type) == (404, "text/html")
    assert 'href="../../"' in text
    assert "There is nothing at this address." in text


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "path", "fields", "status"),
    [
        ("POST", "commands", "type=CHANGE_LEARNING_RATE&learning_rate=fast", 400),
        ("POST", "commands", "type=ADJUST_BATCH_SIZE&batch_size=2.5", 400),
        ("POST", "delete", "", 409),
        ("GET", "commands", "", 405),
        ("GET", "delete", "", 405),
    ],
)
async def test_a_form_that_is_refused_leads_back_to_its_session(
    open_client, method, path, fields, status
):
    """Who mistyped a number goes on where the form was; so does who reloads the address that a form was sent to."""
    client = await open_client(delete_session=FakeDeleter(error=SessionRunningError("it runs")))
    running(client.deps)

    response = await client.request(
        method, f"/sessions/run-1/{path}", data=fields or None, headers=FORM
    )

    assert response.status == status
    assert '<a href="../../sessions/run-1">Back to run-1</a>' in await response.text()


async def test_nothing_leads_back_to_a_session_that_is_not_there(open_client):
    """An address without a session, or with what cannot be one, has the list alone as its way out."""
    client = await open_client()

    for path in ("/sessions/gone/batches/1-1", "/sessions/%22x/commands", "/go/images"):
        text = await (await client.get(path)).text()

        assert "Back to" not in text
        assert "All sessions" in text


async def test_an_internal_error_reveals_nothing(open_client):
    """An exception inside is a plain 500, without its text."""

    class Broken:
        def find(self, session_id):
            raise ValueError("secret")

        def entries(self, limit):
            raise ValueError("secret")

    client = await open_client(archive=Broken())

    for path in ("/", "/sessions/x", "/api/v1/sessions"):
        response = await client.get(path)

        assert response.status == 500
        assert "secret" not in await response.text()


async def test_a_program_reads_the_same_of_an_image_or_of_metrics(open_client):
    """Where it says that it takes JSON, as BridgeClient does; a page of HTML would tell it nothing but the status."""
    client = await open_client()
    path = "/sessions/run/batches/1-0/0.jpg"

    for_program = await client.get(path, headers={"Accept": "application/json, */*"})
    for_browser = await client.get(path, headers={"Accept": "text/html, */*"})

    assert (for_program.status, for_program.content_type) == (404, "application/problem+json")
    assert (await for_program.json())["detail"]
    assert (for_browser.status, for_browser.content_type) == (404, "text/html")

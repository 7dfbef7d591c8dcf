"""What holds for every response."""

import pytest
from support.pages import pictures, running

from bridge.web.app import ROUTES

HOSTILE_IDS = ("..%2F..%2Fx", "%3Cscript%3E", "a%0Ab", "x" * 10_000, "%00", "%C3%A4", "-a", "a%20b")


@pytest.mark.parametrize("session_id", HOSTILE_IDS)
@pytest.mark.parametrize(
    "route", [route for route in ROUTES if "session_id" in route.path], ids=lambda one: one.plain
)
async def test_an_invalid_session_id_is_not_found(open_client, route, session_id):
    """An invalid session id is not looked up anywhere: 404, or 400 where the request line is too long."""
    client = await open_client()
    path = route.plain.replace("{session_id}", session_id)
    for name in ("{epoch}", "{batch}", "{position}", "{slot}"):
        path = path.replace(name, "1")

    address = f"http://{client.host}:{client.port}{path}"
    async with client.session.request(
        route.method, _raw(address), json={"type": "PAUSE_TRAINING"}
    ) as response:
        is_sheet = route.plain.endswith("sheet.jpg")
        assert response.status in ({200, 400, 404} if is_sheet else {400, 404})
        assert b"<script>" not in await response.read()


async def test_static_files_are_revalidated_and_sent_once(open_client):
    """A browser that has the file cached gets a 304."""
    client = await open_client()
    first = await client.get("/static/live.js")

    again = await client.get("/static/live.js", headers={"If-None-Match": first.headers["ETag"]})

    assert first.content_type == "text/javascript"
    assert again.status == 304


async def test_no_page_sets_a_cookie(open_client, stored):
    """Pages work in frames without cookies."""
    client = await open_client()
    running(client.deps)
    stored.add("run-1", 1, 0, pictures())

    for path in ("/", "/sessions/run-1", "/sessions/run-1/batches/1-0"):
        response = await client.get(path)

        assert response.status == 200
        assert "Set-Cookie" not in response.headers


def _raw(address):
    from yarl import URL  # noqa: PLC0415 -- comes with aiohttp

    return URL(address, encoded=True)

"""What holds for every response."""

import socket

import aiohttp
import pytest
from support.pages import pictures, running

from bridge.errors import SettingError
from bridge.web import bind_listener, build_app, serve_http
from bridge.web.app import ROUTES

EVERYWHERE = ("/", "/nope", "/metrics", "/healthz", "/static/style.css", "/api/v1/sessions")
HOSTILE_IDS = ("..%2F..%2Fx", "%3Cscript%3E", "a%0Ab", "x" * 10_000, "%00", "%C3%A4", "-a", "a%20b")


@pytest.mark.parametrize("path", EVERYWHERE)
async def test_every_answer_says_how_browsers_may_use_it(open_client, path):
    """Scripts, styles, images and connections come from the bridge alone, and types are not sniffed."""
    client = await open_client()

    response = await client.get(path)

    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    for part in ("img-src 'self'", "script-src 'self'", "base-uri 'none'", "form-action 'self'"):
        assert part in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Server"] == "trainbridge"


async def test_grafana_may_show_pages_in_a_frame(open_client):
    """Grafana's origin and the configured ones may frame pages, nobody else."""
    client = await open_client(
        grafana_url="https://grafana.example/sub", frame_ancestors=("https://a.example",)
    )

    policy = (await client.get("/")).headers["Content-Security-Policy"]

    assert policy.endswith("frame-ancestors 'self' https://grafana.example https://a.example")


async def test_none_keeps_pages_out_of_every_frame(open_client):
    """With 'none', not even Grafana or the bridge itself may frame pages."""
    client = await open_client(grafana_url="https://grafana.example", frame_ancestors=("'none'",))

    policy = (await client.get("/")).headers["Content-Security-Policy"]

    assert policy.endswith("; frame-ancestors 'none'")


@pytest.mark.parametrize("session_id", HOSTILE_IDS)
@pytest.mark.parametrize(
    "route", [route for route in ROUTES if "session_id" in route.path], ids=lambda one: one.plain
)
async def test_a_hostile_name_is_nobody(open_client, route, session_id):
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


async def test_a_fault_of_ours_tells_nothing(open_client):
    """An exception inside is a plain 500, without its text."""

    class Broken:
        def find(self, session_id):
            raise ValueError("secret")

        def recent(self, limit):
            raise ValueError("secret")

    client = await open_client(archive=Broken())

    for path in ("/", "/sessions/x", "/api/v1/sessions"):
        response = await client.get(path)

        assert response.status == 500
        assert "secret" not in await response.text()


async def test_static_files_are_asked_for_again_but_sent_once(open_client):
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


async def test_served_where_it_was_bound(open_client):
    """The listener's address is the one that is served, and it is free again afterwards."""
    client = await open_client()
    with bind_listener("127.0.0.1:0") as listener:
        async with (
            serve_http(build_app(client.deps), listener),
            aiohttp.ClientSession() as session,
            session.get(f"http://{listener.address}/healthz") as response,
        ):
            assert response.status == 200

    host, port = listener.address.split(":")
    with socket.create_server((host, int(port))):
        pass


def test_a_taken_address_is_a_setting_to_change():
    """Whoever starts the bridge learns which setting is wrong."""
    with (
        bind_listener("127.0.0.1:0") as listener,
        pytest.raises(SettingError, match="http_address"),
        bind_listener(listener.address),
    ):
        pass


def _raw(address):
    from yarl import URL  # noqa: PLC0415 -- comes with aiohttp

    return URL(address, encoded=True)

"""A client of the HTTP open_client, with nothing behind it but what a test puts there."""

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer
from support.pages import StoredImages, deps_in

from bridge.web import build_app


@pytest.fixture
def stored(tmp_path):
    """Return an empty store of images."""
    stored = StoredImages(tmp_path)
    yield stored
    stored.database.close()


@pytest.fixture
async def open_client(tmp_path, stored):
    """Return a function that serves an app and returns its client; both are closed at the end."""
    clients = []

    async def opened(**changes):
        deps, _ = deps_in(tmp_path, stored=stored, **changes)
        client = TestClient(TestServer(build_app(deps)), cookie_jar=CookieJar(unsafe=True))
        await client.start_server()
        clients.append(client)
        client.deps = deps
        return client

    yield opened
    for client in clients:
        await client.close()

"""A client of the HTTP door, with nothing behind it but what a test puts there."""

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer
from support.pages import Shelf, deps_in

from bridge.web import build_app


@pytest.fixture
def shelf(tmp_path):
    """Return an empty shelf of images."""
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.database.close()


@pytest.fixture
async def door(tmp_path, shelf):
    """Return a function that serves the dependencies given; it is closed at the end."""
    clients = []

    async def opened(**changes):
        deps, _ = deps_in(tmp_path, shelf=shelf, **changes)
        client = TestClient(TestServer(build_app(deps)), cookie_jar=CookieJar(unsafe=True))
        await client.start_server()
        clients.append(client)
        client.deps = deps
        return client

    yield opened
    for client in clients:
        await client.close()

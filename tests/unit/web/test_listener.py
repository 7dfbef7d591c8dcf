"""The HTTP socket."""

import socket

import aiohttp
import pytest

from bridge.errors import SettingError
from bridge.web import bind_listener, build_app, serve_http


async def test_the_app_is_served_where_it_was_bound(open_client):
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


def test_an_address_in_use_is_a_setting_error():
    """Whoever starts the bridge learns which setting is wrong."""
    with (
        bind_listener("127.0.0.1:0") as listener,
        pytest.raises(SettingError, match="http_address"),
        bind_listener(listener.address),
    ):
        pass

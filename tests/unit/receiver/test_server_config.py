"""What a client learns when it registers."""

import pytest

from bridge.receiver.server_config import ServerConfig

PUBLIC, LOCAL = "https://bridge.example.org", "http://localhost:8080"


@pytest.mark.parametrize(
    ("config", "is_local", "url"),
    [
        (ServerConfig(), True, ""),
        (ServerConfig(local_url=LOCAL), True, f"{LOCAL}/sessions/run"),
        (ServerConfig(local_url=LOCAL), False, ""),
        (ServerConfig(local_url=LOCAL, public_url=PUBLIC), True, f"{PUBLIC}/sessions/run"),
        (ServerConfig(local_url=LOCAL, public_url=PUBLIC), False, f"{PUBLIC}/sessions/run"),
    ],
)
def test_only_who_can_open_a_page_gets_its_address(config, is_local, url):
    """The public one for everybody; without it, the local one for clients of the same machine."""
    assert config.page_url("run", is_local=is_local) == url

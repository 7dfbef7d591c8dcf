"""What several commands take."""

from bridge.cli import arguments


def test_the_address_is_where_a_bridge_of_this_environment_is(monkeypatch):
    """In a bridge's own container its commands need no --url, even when it listens everywhere."""
    monkeypatch.delenv("TRAINBRIDGE_URL", raising=False)
    monkeypatch.setenv("TRAINBRIDGE_HTTP_ADDRESS", "0.0.0.0:9")

    assert arguments.default_url() == "http://localhost:9"

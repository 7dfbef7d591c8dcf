"""A bridge's real HTTP server, at the address that the commands take from the environment."""

import pytest
from support.pages import deps_in
from support.served_app import served_app


class Bridge:
    """What the server answers from, and where it is."""

    def __init__(self, deps, url):
        self.deps = deps
        self.url = url

    def commands(self, session_id):
        """Return what was submitted for a session."""
        return [(one.type, one.parameters) for one in self.deps.commands.of(session_id)]


@pytest.fixture
def bridge(tmp_path, monkeypatch):
    """Serve a bridge, and have the commands find it."""
    deps, shelf = deps_in(tmp_path)
    with served_app(deps) as url:
        monkeypatch.setenv("TRAINBRIDGE_URL", url)
        yield Bridge(deps, url)
    shelf.database.close()

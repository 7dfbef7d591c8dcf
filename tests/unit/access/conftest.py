"""An issuer of tokens, for all tests of a module."""

import pytest
from support.issuer import running_issuer


@pytest.fixture(scope="module")
def served_issuer():
    """Serve an issuer over plain HTTP."""
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Wait as long as a busy machine may take."""
    monkeypatch.setattr("bridge.access.fetch.SOCKET_SECONDS", 60.0)
    monkeypatch.setattr("bridge.access.fetch.WHOLE_SECONDS", 60.0)
    monkeypatch.setattr("bridge.access.issuer_keys.WAIT_SECONDS", 60.0)


@pytest.fixture
def issuer(served_issuer):
    """Return it as it is at first."""
    served_issuer.answers.clear()
    served_issuer.rotate("first")
    served_issuer.requests.clear()
    return served_issuer

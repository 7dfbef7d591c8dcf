"""A real bridge that serves its pages over TLS, with the event loop that it runs on."""

import os
import ssl
import subprocess
import sys
import urllib.request
from html import unescape

import pytest
from support.bridges import launched
from support.certificates import Authority

from bridge.client import BridgeClient
from bridge.client.query import ProblemError


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Return an authority of these tests."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def variables(authority):
    """Return the environment of a bridge in a container: its certificate is not for an address of this machine."""
    files = authority.issue("bridge", host="192.0.2.1", dns=["localhost"])
    return {
        f"TRAINBRIDGE_{door}TLS_{what}_FILE": str(file)
        for door in ("", "HTTP_")
        for what, file in (("CERT", files.certificate), ("KEY", files.key))
    }


@pytest.fixture(scope="module")
def bridge(tmp_path_factory, variables):
    """Return a bridge that serves HTTPS."""
    with launched(tmp_path_factory.mktemp("bridge") / "state", variables=variables) as launch:
        yield launch.ready()


def port_of(bridge):
    """Return the port of the pages."""
    return bridge.http.rpartition(":")[2]


def test_pages_and_links_over_tls(bridge, authority):
    """Who trusts the authority reads them; what the bridge says of its address is https://."""
    url = f"https://localhost:{port_of(bridge)}"
    client = BridgeClient(url, ca_file=authority.file)

    assert list(client.sessions()) == []
    assert f'public_url="https://127.0.0.1:{port_of(bridge)}"' in client.metrics()
    context = ssl.create_default_context(cafile=str(authority.file))
    with urllib.request.urlopen(url, context=context, timeout=60) as page:
        assert f'TrainingSession("grpcs://{bridge.grpc}"' in unescape(page.read().decode())


def test_plain_text_is_answered_with_the_way_out(bridge):
    """Also by the client, which repeats it."""
    with pytest.raises(ProblemError, match="use https://"):
        BridgeClient(f"http://{bridge.http}").check_ready()


def test_a_health_check_in_the_container_of_the_bridge(bridge, variables):
    """It takes the bridge's own certificate for what it is, whatever name that has."""
    environment = {**os.environ, **variables, "TRAINBRIDGE_HTTP_ADDRESS": bridge.http}
    environment.pop("TRAINBRIDGE_URL", None)
    command = [sys.executable, "-m", "bridge", "healthcheck"]

    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment
    )

    assert (ended.returncode, ended.stdout) == (0, "ready\n"), ended.stderr


def test_a_stop_ends_with_nothing_in_the_log(bridge):
    """Connections over TLS that are open then hold up nothing, and leave no traceback."""
    assert bridge.stop() == 0
    assert "Traceback" not in bridge.log.read_text()

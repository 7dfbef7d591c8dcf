"""Under which names a bridge answers."""

import pytest

from bridge.config import load
from bridge.errors import SettingError
from bridge.web.hosts import AllowedHosts

SAFE = (
    "127.0.0.1:8080",
    "10.1.2.3",
    "[::1]:8080",
    "[fe80::1%25eth0]:8080",
    "localhost:8080",
    "LOCALHOST",
    "app.localhost",
    "bridge:8080",
    "bridge.ml.svc",
    "bridge-0.bridge.ml.svc.cluster.local:8080",
    "workstation.local",
)
FOREIGN = (
    "rebound.example",
    "rebound.example:8080",
    "127.0.0.1.rebound.example",
    "localhost.rebound.example",
    "svc.rebound.example",
    "bridge.ml",
    "xlocal.example",
    "[",
    "a b.example",
    ".",
    "\udcff",
    "\udcff.example",
    "b\u00fccher.local",
)


@pytest.mark.parametrize("host", SAFE)
async def test_names_that_nobody_can_rebind_are_answered(open_client, host):
    """IP addresses, names without a dot, and names that the public DNS never has."""
    client = await open_client()

    assert (await client.get("/metrics", headers={"Host": host})).status == 200


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/api/v1/sessions", "/nothing"])
async def test_other_names_read_nothing(open_client, path):
    """Status 421 on every address, with the setting to change; it is counted."""
    client = await open_client()

    response = await client.get(path, headers={"Host": "rebound.example"})

    assert response.status == 421
    text = await response.text()
    assert "rebound.example" in text
    assert "--allowed-hosts" in text
    assert (
        client.deps.telemetry.registry.get_sample_value(
            "bridge_http_refused_total", {"reason": "host"}
        )
        == 1
    )


@pytest.mark.parametrize("host", FOREIGN)
def test_what_looks_like_a_safe_name_is_none(host):
    """An address or a private name within a foreign one makes it no safer."""
    assert not AllowedHosts.of().allows(host)


def test_names_are_allowed_by_settings():
    """A name, all names below one, the public URL's, and every name."""
    hosts = AllowedHosts.of(
        "Bridge.Example.org", "*.example.com", public_url="https://public.example.net:8443/x"
    )

    assert hosts.allows("bridge.example.org:8080")
    assert hosts.allows("bridge.example.org.")
    assert hosts.allows("a.b.example.com")
    assert hosts.allows("public.example.net")
    assert not hosts.allows("example.com")
    assert not hosts.allows("badexample.com")
    assert AllowedHosts.of("*").allows("any.example")
    assert not AllowedHosts.of("*").knows("any.example")
    assert not AllowedHosts.of("*").allows("\udcff.example")


def test_a_request_without_a_host_is_not_from_a_browser():
    """Probes of HTTP/1.0 send none."""
    assert AllowedHosts.of().allows("")


@pytest.mark.parametrize(
    "value", ["https://a.example", "a.example:80", "a.*.example", "a,b", "*.*"]
)
def test_a_setting_that_is_not_a_list_of_names_is_refused(value):
    """With what would be right."""
    with pytest.raises(SettingError, match=r"allowed_hosts.*host names separated by spaces"):
        load({"allowed_hosts": value}, {})


def test_a_list_in_a_file_is_taken(tmp_path):
    """As it would be written in YAML."""
    path = tmp_path / "bridge.yaml"
    path.write_text("allowed_hosts: [a.example, '*.b.example']\n")

    assert load({"config": str(path)}, {}).settings.allowed_hosts == "a.example *.b.example"

"""Which proxy the environment names for a host."""

import pytest

from bridge.proxies import GRPC_VARIABLES, HTTP_VARIABLES, is_loopback_host, proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({"http_proxy": PROXY}, "http_proxy"),
        ({"HTTP_PROXY": PROXY}, "HTTP_PROXY"),
        ({"https_proxy": PROXY, "http_proxy": "http://other"}, "https_proxy"),
        ({"GRPC_PROXY": PROXY, "https_proxy": "http://other"}, "GRPC_PROXY"),
        ({"grpc_proxy": " ", "HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        ({"http_proxy": "proxy.example:3128"}, "http_proxy"),
    ],
)
def test_the_first_variable_that_is_set_names_the_proxy(environment, variable):
    """In lower case or upper case, with a scheme or without; it is known which one it was."""
    proxy = proxy_for("bridge.example", variables=GRPC_VARIABLES, environment=environment)

    assert proxy is not None
    assert (proxy.variable, proxy.url, proxy.is_usable) == (variable, PROXY, True)
    assert str(proxy) == f"the proxy {PROXY} of {variable}"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "db.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
)
def test_this_machine_is_reached_directly(host):
    """No proxy can reach the loopback interface of this machine."""
    assert is_loopback_host(host)
    assert proxy_for(host, variables=HTTP_VARIABLES, environment={"http_proxy": PROXY}) is None


@pytest.mark.parametrize("host", ["localhost.example", "128.0.0.1", "bridge", "::2", ""])
def test_others_are_not_this_machine(host):
    """A name that only looks like it is not."""
    assert not is_loopback_host(host)


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_direct"),
    [
        ("bridge.example.org", "example.org", True),
        ("bridge.example.org", ".example.org", True),
        ("bridge.example.org", "*.example.org", True),
        ("example.org", " other.org , EXAMPLE.ORG ", True),
        ("badexample.org", "example.org", False),
        ("bridge", "*", True),
        ("bridge", "bridge:50051", True),
        ("bridge", "bridge:8080", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "2.3", False),
        ("bridge", "10.0.0.0/8", False),
        ("fd00::1", "fd00::/8", True),
        ("[fd00::1]", "[fd00::1]:50051", True),
        ("fd00::1", "fd00::1", True),
        ("bridge", "not/a/network", False),
        ("bridge", "", False),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_what_no_proxy_names_is_reached_directly(host, no_proxy, is_direct, variable):
    """Domains with what is below them, addresses, networks, ports."""
    environment = {"http_proxy": PROXY, variable: no_proxy}

    found = proxy_for(host, 50051, variables=HTTP_VARIABLES, environment=environment)

    assert (found is None) == is_direct


def test_credentials_are_not_shown():
    """They are for the proxy alone."""
    environment = {"http_proxy": "http://user:p@ss@proxy.example:3128"}
    proxy = proxy_for("bridge", variables=HTTP_VARIABLES, environment=environment)

    assert proxy is not None
    assert str(proxy) == f"the proxy {PROXY} of http_proxy"
    assert proxy.is_usable
    assert "p@ss" not in repr(proxy)


@pytest.mark.parametrize(
    "url",
    ["socks5://proxy:1080", "https://proxy:443", "http://", "http://proxy:port", "http://p:0"],
)
def test_what_is_not_an_http_proxy(url):
    """It is named, so that somebody can be asked about it, and is known to be of no use."""
    proxy = proxy_for("bridge", variables=HTTP_VARIABLES, environment={"http_proxy": url})

    assert proxy is not None
    assert not proxy.is_usable

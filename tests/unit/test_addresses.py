"""Addresses, links and headers that several parts of the bridge read or write."""

import pytest

from bridge.addresses import (
    check_url,
    images_link,
    is_loopback,
    join_address,
    split_address,
    split_headers,
    url_of,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("localhost:80", "localhost", 80),
        ("[::1]:443", "::1", 443),
    ],
)
def test_an_address_has_host_and_port(text, host, port):
    """Names, IPv4 and bracketed IPv6 are understood, and put together again the same."""
    assert split_address(text) == (host, port)
    assert join_address(host, port) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "50051",
        ":50051",
        "host",
        "host:",
        "host:65536",
        "host:-1",
        "::1:80",
        "[x]:80",
        "a b:1",
        "http://h:1",
    ],
)
def test_what_is_not_an_address_is_refused(text):
    """Nothing is guessed: what is not host:port is an error."""
    with pytest.raises(ValueError, match=r"\w"):
        split_address(text)


def test_a_wildcard_address_is_opened_at_localhost():
    """A browser cannot open 0.0.0.0 everywhere, so links name localhost."""
    assert url_of("0.0.0.0:8080") == "http://localhost:8080"
    assert url_of("[::]:8080") == "http://localhost:8080"
    assert url_of("[::1]:80") == "http://[::1]:80"
    assert url_of("bridge.example.org:80") == "http://bridge.example.org:80"


def test_loopback_is_recognized():
    """Only addresses that no other machine reaches count as loopback."""
    assert all(map(is_loopback, ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1"]))
    assert not any(map(is_loopback, ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1"]))


@pytest.mark.parametrize(
    "text",
    [
        "localhost:4317",
        "ftp://h",
        "http://",
        "http://u:p@h",
        "http://h?x=1",
        "http://h#x",
        "http://h:0",
        "http://h:99999",
        "http://h /",
    ],
)
def test_what_is_not_a_plain_url_is_refused(text):
    """A URL has http(s), host, perhaps port and path, and no password that would be shown."""
    with pytest.raises(ValueError, match=r"\w"):
        check_url(text)


def test_headers_are_percent_decoded():
    """Values may hold anything a header can carry; names are made small."""
    assert split_headers("Api-Key=a%20b%2C, x=1=2,") == {"api-key": "a b,", "x": "1=2"}


@pytest.mark.parametrize("text", ["secret", "=x", "a b=c", "a=%0Ab", "a=%C3%A9"])
def test_what_no_header_can_carry_is_refused(text):
    """Control characters and letters beyond ASCII would fail at every export."""
    with pytest.raises(ValueError, match=r"\w"):
        split_headers(text)


def test_a_link_to_images_names_the_session_and_what_is_meant():
    """One function makes the link for pages and spans, with every value quoted."""
    assert images_link("run-1", epoch=1, batch=7) == "go/images?session=run-1&epoch=1&batch=7"
    assert images_link("r", actual="a&b c") == "go/images?session=r&actual=a%26b+c"

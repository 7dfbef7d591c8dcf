"""Settings of TLS, and of the proxies before a bridge."""

import pytest
from pydantic import ValidationError

from bridge.config import Settings


@pytest.mark.parametrize("prefix", ["tls", "http_tls"])
def test_a_certificate_and_its_key_belong_together(tmp_path, prefix):
    """On each server by itself; who vouches for clients needs both."""
    file = tmp_path / "some.pem"
    file.write_text("")
    cert, key, authority = (
        f"{prefix}_{name}" for name in ("cert_file", "key_file", "client_ca_file")
    )

    for given, sentence in (
        ({cert: file}, f"{key}: which is missing"),
        ({key: file}, f"{cert}: which is missing"),
        ({authority: file}, f"{authority}: which needs TLS, that is, {cert} and {key}"),
    ):
        with pytest.raises(ValidationError, match=sentence):
            Settings(**given)
    assert Settings(**{cert: file, key: file, authority: file})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        (" 10.0.0.0/8   192.0.2.7\n::1 ", "10.0.0.0/8 192.0.2.7 ::1"),
        (["10.0.0.0/8", "fd00::/8"], "10.0.0.0/8 fd00::/8"),
    ],
)
def test_proxies_are_networks_and_addresses(given, kept):
    """As one text, or as a list of a YAML file."""
    assert Settings(trusted_proxies=given).trusted_proxies == kept


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("10.0.0.1/8", "'10.0.0.1/8' is neither a network nor an address; 10.0.0.0/8 is one"),
        ("10.0.0.0/8,192.0.2.7", "is neither a network nor an address"),
        ("proxy.example.org", "'proxy.example.org' is neither a network nor an address"),
        ("10.0.0.0/33", "is neither"),
        ("*", "is neither"),
        ("  ", "at least 1"),
    ],
)
def test_what_is_not_a_network_is_refused(given, sentence):
    """With the network that was probably meant."""
    with pytest.raises(ValidationError, match=sentence):
        Settings(trusted_proxies=given)

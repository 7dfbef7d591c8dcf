"""Each way to write the address of a bridge, and what becomes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.client.address import parse_address
from bridge.client.settings import destination

ADDRESSES = [
    ("bridge.example.org", "bridge.example.org:50051", None),
    ("bridge.example.org.", "bridge.example.org.:50051", None),
    ("bridge:50051", "bridge:50051", None),
    ("my_bridge:50051", "my_bridge:50051", None),
    ("bridge:50051/", "bridge:50051", None),
    ("  bridge:50051\n", "bridge:50051", None),
    ("grpc://bridge", "bridge:50051", False),
    ("grpc://bridge:50051", "bridge:50051", False),
    ("GRPCS://bridge:443", "bridge:443", True),
    ("grpcs://bridge", "bridge:50051", True),
    ("http://bridge:50051/", "bridge:50051", False),
    ("https://bridge:443", "bridge:443", True),
    ("dns:///bridge:1", "bridge:1", None),
    ("dns:///bridge", "bridge:50051", None),
    ("10.0.0.1", "10.0.0.1:50051", None),
    ("0.0.0.0:50051", "0.0.0.0:50051", None),
    ("::1", "[::1]:50051", None),
    ("[::1]", "[::1]:50051", None),
    ("[fd00::1]:7", "[fd00::1]:7", None),
    ("[fe80::1%eth0]:7", "[fe80::1%eth0]:7", None),
    ("grpcs://[::1]:7", "[::1]:7", True),
    ("bücher.example", "xn--bcher-kva.example:50051", None),
    ("unix:/run/bridge.sock", "unix:/run/bridge.sock", None),
    ("unix:///run/bridge.sock", "unix:/run/bridge.sock", None),
    ("unix:bridge.sock", "unix:bridge.sock", None),
]

INVALID = [
    ("localhost:99999", "the port '99999', which is not a number from 1 to 65535"),
    ("localhost:0", "the port '0'"),
    ("localhost:-1", "the port '-1'"),
    ("localhost:abc", "the port 'abc'"),
    ("localhost:\u0665\u0660", "the port"),
    ("localhost:", "ends with a colon and has no port"),
    ("[::1]:", "ends with a colon and has no port"),
    (":50051", "has no host"),
    ("50051", "a host of numbers that is not an IPv4 address"),
    ("1.2.3.256:1", "a host of numbers that is not an IPv4 address"),
    ("localhost:1/path", "has a path, and gRPC has none"),
    ("localhost:1?x=1", "has a path"),
    ("user:pw@host:1", "holds a user name"),
    ("grpc://user:pw@host", "holds a user name"),
    ("http://bridge", "has no port, which http:// leaves open"),
    ("https://bridge.example.org/", "has no port, which https:// leaves open"),
    ("ftp://x:1", "begins with the unknown scheme ftp://"),
    ("://x:1", "begins with the unknown scheme"),
    ("grpc://", "has no host"),
    ("dns://8.8.8.8/bridge", "names a server of the DNS"),
    ("ipv4:127.0.0.1:50051", "has several colons"),
    ("::1:50051", "has several colons: an IPv6 address with a port stands in brackets"),
    ("[bridge]:1", "in brackets that is not an IPv6 address"),
    ("bridge:1,other:1", "has several colons"),
    ("bridge,other", "neither a name nor an address"),
    ("a b:1", "has a space in it"),
    ("bridge..org", "neither a name nor an address"),
    ("-bridge", "neither a name nor an address"),
    ("b" * 64, "neither a name nor an address"),
    ("bridge\n.org", "has a space in it"),
    ("\u2028é..x", "cannot be written for the DNS"),
    ("unix:", "is not the path of a socket"),
    ("unix://host/path", "is not the path of a socket"),
]


@pytest.mark.parametrize(("text", "target", "is_secure"), ADDRESSES)
def test_addresses(text, target, is_secure):
    """Without a port it is the bridge's own; the scheme decides about TLS."""
    found = parse_address(text, "here")

    assert (found.target, found.is_secure) == (target, is_secure)


@pytest.mark.parametrize(("text", "reason"), INVALID)
def test_what_is_not_an_address(text, reason):
    """It is refused with the reason, where it comes from, and what to give."""
    for address, environment, source in (
        (text, {}, "the argument address"),
        ("", {"TRAINBRIDGE_ADDRESS": text}, "TRAINBRIDGE_ADDRESS"),
    ):
        with pytest.raises(ValueError, match=r"^address: ") as refusal:
            destination(address, environment=environment)

        sentence = str(refusal.value)
        assert reason in sentence
        assert f"({source})" in sentence
        assert "bridge.example.org:50051" in sentence
        assert "pw" not in sentence


@pytest.mark.parametrize("given", [None, "", "  "])
def test_without_an_address_it_is_this_machine(given):
    """The variable comes first; set to nothing, it is not set."""
    for environment in ({}, {"TRAINBRIDGE_ADDRESS": ""}, {"TRAINBRIDGE_ADDRESS": "\n"}):
        assert destination(given, environment=environment).target == "127.0.0.1:50051"
    assert destination(given, environment={"TRAINBRIDGE_ADDRESS": "there"}).target == "there:50051"


@pytest.mark.parametrize("given", [50051, b"bridge:1", ["bridge:1"], ("bridge", 1)])
def test_an_address_is_text(given):
    """Anything else is refused by its type."""
    with pytest.raises(ValueError, match=f"address: a {type(given).__name__} is not text"):
        destination(given, environment={})


@given(st.text(max_size=40) | st.text(alphabet="ab1:[]./@-%", max_size=20))
def test_whatever_the_text_is_it_is_an_address_or_refused(text):
    """What is accepted can be given again and means the same."""
    try:
        found = parse_address(text, "here")
    except ValueError as error:
        assert str(error).startswith("address: ")  # noqa: PT017 -- it need not be raised
    else:
        assert found.target.isascii() or found.target.startswith("unix:")
        assert parse_address(found.target, "here").target == found.target

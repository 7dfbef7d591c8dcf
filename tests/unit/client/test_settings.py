"""Where a session goes, and as whom."""

import sys
from types import SimpleNamespace

import pytest

from bridge.client.settings import Place, destination, place, session_name


@pytest.mark.parametrize(
    ("address", "target", "secure"),
    [
        ("", "127.0.0.1:50051", False),
        ("bridge:50051", "bridge:50051", False),
        ("grpc://bridge:50051", "bridge:50051", False),
        ("http://bridge:50051/", "bridge:50051", False),
        ("grpcs://bridge:443", "bridge:443", True),
        ("https://bridge:443", "bridge:443", True),
    ],
)
def test_addresses(address, target, secure):
    """With or without a scheme, which says whether there is TLS."""
    found = destination(address, environment={})

    assert (found.target, found.secure) == (target, secure)


@pytest.mark.parametrize("address", ["ftp://x:1", "grpc://", "a b:1"])
def test_what_is_no_address(address):
    """It is refused while the run is being set up."""
    with pytest.raises(ValueError, match="address"):
        destination(address, environment={})


def test_arguments_come_before_variables(tmp_path):
    """What is not given comes from the environment; secrets also from files."""
    secret = tmp_path / "token"
    secret.write_text("from a file\n")
    environment = {"TRAINBRIDGE_ADDRESS": "there:1", "TRAINBRIDGE_TOKEN_FILE": str(secret)}

    found = destination("", environment=environment)
    assert (found.target, found.token) == ("there:1", "from a file")
    found = destination("here:2", token="mine", environment=environment)
    assert (found.target, found.token) == ("here:2", "mine")
    assert "mine" not in repr(found)


def test_a_certificate_authority_means_tls(tmp_path):
    """Nobody names one for a plain connection."""
    authority = tmp_path / "ca.pem"
    authority.write_bytes(b"certificate")

    found = destination("there:1", ca_file=str(authority), environment={})

    assert found.secure
    assert found.authority == b"certificate"
    with pytest.raises(FileNotFoundError):
        destination("there:1", ca_file=str(tmp_path / "none"), environment={})


def test_the_rank_comes_from_the_launcher_or_from_torch(monkeypatch):
    """RANK first, else torch where it is loaded and distributed; else there is one process."""
    assert place({"RANK": "2", "TORCHELASTIC_RUN_ID": "job"}) == Place(2, "job")
    monkeypatch.setitem(
        sys.modules,
        "torch.distributed",
        SimpleNamespace(is_initialized=lambda: True, get_rank=lambda: 5),
    )
    assert place({}) == Place(5)
    monkeypatch.setitem(sys.modules, "torch.distributed", SimpleNamespace())
    assert place({}) == Place()


def test_names():
    """A name is made of the model's where none is wanted, and always fits the protocol."""
    assert session_name("mine", "m", Place(), "zero") == "mine"
    made = session_name("", "Résnet 18/v2!", Place(), "zero")
    assert made.startswith("r-snet-18-v2-")
    assert made != session_name("", "Résnet 18/v2!", Place(), "zero")
    assert session_name("", "", Place(), "zero").startswith("run-")
    assert session_name("x" * 63, "", Place(12), "all") == "x" * 54 + "-rank12"
    assert session_name("", "m", Place(1, "job 7"), "all") == "job-7-rank1"

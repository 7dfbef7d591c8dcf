"""The keys of an issuer: which are used, and for what."""

import base64

import pytest

from bridge.access.jwks import MAX_KEYS, find_key, read_keys
from bridge.errors import IssuerError


@pytest.fixture
def keys(issuer):
    """Return an issuer's keys as it publishes them: one of a curve, one of RSA."""
    issuer.rotate("rsa", kind="RSA", keep=True)
    return {"ec": issuer.public("first"), "rsa": issuer.public("rsa")}


def ids(*rows):
    """Return the names of the keys that are used."""
    return [key.id for key in read_keys({"keys": [*rows]}, "https://issuer/keys")]


def test_each_key_is_for_its_own_algorithms(keys):
    """A curve has one; RSA has six, unless the key names one of them."""
    both = read_keys({"keys": [keys["ec"], keys["rsa"]]}, "")
    assert both[0].algorithms == ("ES256",)
    assert len(both[1].algorithms) == 6
    [one] = read_keys({"keys": [{**keys["rsa"], "alg": "PS256"}]}, "")
    assert one.algorithms == ("PS256",)


def test_what_cannot_be_used_is_left_out(keys):
    """Other kinds and uses, private keys, weak and giant ones, and what is not a key at all."""
    ec, rsa = keys["ec"], keys["rsa"]
    giant = base64.urlsafe_b64encode(b"\xff" * 2_048).decode()
    small = base64.urlsafe_b64encode(b"\xff" * 128).decode()
    unusable = (
        *(None, 5, "key", [], {}, {"kty": "EC"}, {"kty": ["EC"]}),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"},
        {**ec, "use": "enc"},
        {**ec, "key_ops": ["encrypt"]},
        {**ec, "key_ops": 5},
        {**ec, "alg": "HS256"},
        {**ec, "alg": "none"},
        {**ec, "alg": "RS256"},
        {**ec, "crv": "secp256k1"},
        {**ec, "kty": "OKP"},
        {**ec, "kty": "RSA"},
        {**ec, "d": "x"},
        {**ec, "x": "AAAA"},
        {**ec, "x": 5},
        {**ec, "kid": "x" * 300},
        {**rsa, "n": small},
        {**rsa, "n": giant},
        {**rsa, "e": giant[:600]},
        {**rsa, "e": "AA"},
        {**rsa, "n": "!!!"},
    )
    for row in unusable:
        with pytest.raises(IssuerError, match="oidc_jwks_url"):
            ids(row)
    assert ids(*unusable, ec) == ["first"]


def test_so_many_keys_are_looked_at(keys):
    """An issuer that sends thousands of them costs no more than this."""
    many = [{**keys["ec"], "kid": str(number)} for number in range(MAX_KEYS + 5)]
    assert len(ids(*many)) == MAX_KEYS


def test_a_key_is_found_by_name_and_algorithm(keys):
    """Without a name only where there is no doubt."""
    both = read_keys({"keys": [keys["ec"], keys["rsa"]]}, "")
    assert find_key(both, "first", "ES256") is both[0]
    assert find_key(both, "first", "RS256") is None
    assert find_key(both, "", "RS256") is both[1]
    assert find_key((*both, both[1]), "", "RS256") is None

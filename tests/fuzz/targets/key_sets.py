"""Key sets of an issuer of JSON Web Tokens."""

import json

from bridge.access.jwks import ALGORITHMS, MAX_KEYS, read_keys
from bridge.errors import IssuerError


def run(data: bytes) -> None:
    """Read the keys of a set; those that are of no use cost themselves alone."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(content, dict):
        return
    try:
        keys = read_keys(content, "https://issuer.example.org/keys")
    except IssuerError:
        return
    assert len(keys) <= MAX_KEYS
    assert all(set(key.algorithms) <= ALGORITHMS for key in keys)

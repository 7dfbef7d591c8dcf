"""Reads the keys that an issuer publishes (RFC 7517)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jwt import InvalidKeyError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from bridge.errors import IssuerError

MAX_KEYS = 100
"""That are looked at; an issuer has a few."""

LONGEST_NUMBER = 1_400
"""Characters of base64: the modulus of an RSA key of 8,192 bits has fewer."""

LONGEST_EXPONENT = 8

RSA_BITS = range(2_048, 8_193)

LONGEST_KEY_ID = 256

RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVES = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",), "Ed25519": ("EdDSA",)}

ALGORITHMS = frozenset((*RSA, *(name for names in CURVES.values() for name in names)))
"""How a token may be signed: never with a secret that both sides know, and never not at all."""

READERS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, and which signatures it verifies."""

    id: str
    """As tokens call it; "": it has no name."""
    algorithms: tuple[str, ...]
    key: Any = field(repr=False)


def read_keys(content: Mapping[str, Any], url: str) -> tuple[VerificationKey, ...]:
    """Return the usable keys of a key set; raises IssuerError where there are none."""
    listed = content.get("keys")
    rows = listed[:MAX_KEYS] if isinstance(listed, list) else []
    keys = tuple(key for row in rows if isinstance(row, dict) and (key := _key(row)) is not None)
    if not keys:
        raise IssuerError(
            f"{url} has no key that verifies a signature ({', '.join(sorted(ALGORITHMS))}): set oidc_jwks_url to where the"
            " issuer's keys are"
        )
    return keys


def find_key(
    keys: tuple[VerificationKey, ...], key_id: str, algorithm: str
) -> VerificationKey | None:
    """Return the key of a token's header; without a name in it, the only one that may be meant."""
    fitting = [key for key in keys if algorithm in key.algorithms]
    if key_id:
        return next((key for key in fitting if key.id == key_id), None)
    return fitting[0] if len(fitting) == 1 else None


def _key(row: dict[str, Any]) -> VerificationKey | None:
    """Return a key; None for one that is of another kind or use, too weak, too large, or not public."""
    algorithms = _algorithms(row)
    if not algorithms or "d" in row or row.get("use", "sig") != "sig" or _is_too_large(row):
        return None
    uses = row.get("key_ops", ["verify"])
    if not isinstance(uses, list) or "verify" not in uses:
        return None
    try:
        key = READERS[row["kty"]](row)
    except (InvalidKeyError, ValueError, TypeError, KeyError, ArithmeticError):
        return None
    if row["kty"] == "RSA" and key.key_size not in RSA_BITS:
        return None
    return VerificationKey(_text(row, "kid"), algorithms, key)


def _algorithms(row: Mapping[str, Any]) -> tuple[str, ...]:
    kind = _text(row, "kty")
    fitting = RSA if kind == "RSA" else CURVES.get(_text(row, "crv"), ())
    if kind not in READERS or (kind == "OKP") != (fitting == CURVES["Ed25519"]):
        return ()
    named = row.get("alg")
    return fitting if named is None else tuple(one for one in fitting if one == named)


def _is_too_large(row: Mapping[str, Any]) -> bool:
    if len(_text(row, "kid")) > LONGEST_KEY_ID or len(_text(row, "e")) > LONGEST_EXPONENT:
        return True
    return any(len(_text(row, number)) > LONGEST_NUMBER for number in ("n", "x", "y"))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""

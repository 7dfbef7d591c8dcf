"""Reads and verifies JSON Web Tokens (RFC 7519)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from bridge.access.issuer import Issuer
from bridge.access.jwks import ALGORITHMS, LONGEST_KEY_ID, VerificationKey
from bridge.errors import UnauthenticatedError

LEEWAY_SECONDS = 30
"""By which clocks may differ."""

BEGINNING = "ey"
"""Of every token: its header is an object of JSON, in base64."""

UNREADABLE = "the token that was shown is not a JSON Web Token that can be read: get a new one from the issuer, and send it whole"

UNREADABLE_ERRORS = (ValueError, TypeError, OverflowError, RecursionError, LookupError)
"""What a token that means harm may bring a parser to raise beside the errors of its own."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a token says of itself, which nobody has verified."""

    issuer: str
    algorithm: str
    key_id: str


def is_jwt(token: str) -> bool:
    """Return whether a token is of this kind, whatever it is worth."""
    return token.startswith(BEGINNING) and token.count(".") == 2


def read_unverified(token: str) -> Shown:
    """Return what a token says of itself; raises UnauthenticatedError where it cannot be read."""
    try:
        read = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, *UNREADABLE_ERRORS):
        raise UnauthenticatedError(UNREADABLE) from None
    header, claims = read["header"], read["payload"]
    return Shown(_text(claims, "iss"), _text(header, "alg"), _text(header, "kid"))


def check_shown(shown: Shown, issuer: Issuer) -> None:
    """Raise UnauthenticatedError for a token that no key of the issuer can make good."""
    if shown.issuer.rstrip("/") != issuer.url:
        raise UnauthenticatedError(
            f"the token that was shown is of the issuer {shown.issuer[:200]!r}: this bridge takes those of {issuer.url}"
        )
    if shown.algorithm not in ALGORITHMS or len(shown.key_id) > LONGEST_KEY_ID:
        raise UnauthenticatedError(
            "the token that was shown is not signed with a key pair: this bridge takes"
            f" {', '.join(sorted(ALGORITHMS))}"
        )


def verify(token: str, key: VerificationKey, issuer: Issuer) -> Mapping[str, Any]:
    """Return the claims of a token; raises UnauthenticatedError where it is not good, or not for this bridge."""
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=list(key.algorithms),
            audience=issuer.audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )
        expiry_of(claims)
    except jwt.PyJWTError as error:
        raise UnauthenticatedError(_reason(error, issuer)) from None
    except UNREADABLE_ERRORS:
        raise UnauthenticatedError(UNREADABLE) from None
    return claims


def expiry_of(claims: Mapping[str, Any]) -> float:
    """Return when verified claims expire, in seconds since 1970."""
    return float(int(claims["exp"]))


def _reason(error: jwt.PyJWTError, issuer: Issuer) -> str:
    if isinstance(error, jwt.ExpiredSignatureError):
        return (
            f"the token that was shown has expired: get a new one from {issuer.url}, and renew it in time, as Kubernetes"
            " does with the file of a projected service-account token"
        )
    if isinstance(error, jwt.ImmatureSignatureError):
        return "the token that was shown is not good yet: compare the clocks of the issuer and of this bridge"
    is_audience = isinstance(error, jwt.InvalidAudienceError)
    if isinstance(error, jwt.MissingRequiredClaimError):
        is_audience = error.claim == "aud"
        if not is_audience:
            return f"the token that was shown lacks the claim {error.claim}: get one that has it from {issuer.url}"
    if is_audience:
        return (
            "the token that was shown is made out to others: ask the issuer for one with the audience"
            f" {issuer.audience!r}"
        )
    if isinstance(error, jwt.InvalidSignatureError):
        return f"the token that was shown does not have the signature of {issuer.url}: get a new one from there"
    return UNREADABLE


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    return value if isinstance(value, str) else ""

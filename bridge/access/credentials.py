"""What somebody shows at a door."""

from dataclasses import dataclass, field

BEARER = "bearer"

LONGEST_TOKEN = 16_384
"""Characters; the JSON Web Tokens of issuers that list many groups have several thousand."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A bearer token, the names of a client certificate, both or neither."""

    token: str = field(default="", repr=False)
    certificate_names: tuple[str, ...] = ()
    """Of a certificate that was verified: its URIs, its DNS names, its common name."""


def token_of(authorization: str) -> str:
    """Return the token of an Authorization header, "" where it has none (RFC 6750, section 2.1)."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    is_usable = scheme.lower() == BEARER and token.isascii() and len(token) <= LONGEST_TOKEN
    return token if is_usable else ""

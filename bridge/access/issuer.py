"""Who issues JSON Web Tokens, and where its keys are."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bridge.access.credentials import LONGEST_TOKEN
from bridge.access.fetch import fetch_json
from bridge.access.jwks import VerificationKey, read_keys
from bridge.addresses import check_url, is_protected
from bridge.errors import IssuerError

DISCOVERY = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0, section 4."""

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken."""

    url: str
    """As it stands in the tokens, without a slash at the end."""
    audience: str
    jwks_url: str = ""
    """"": where its configuration says."""
    ca_file: Path | None = None
    token_file: Path | None = None

    @property
    def keys_at(self) -> str:
        """Where one begins to look for its keys."""
        return self.jwks_url or self.url + DISCOVERY


def fetch_keys(issuer: Issuer) -> tuple[VerificationKey, ...]:
    """Return the issuer's keys; blocks. Raises IssuerError with the cause and the way out."""
    bearer = _bearer(issuer.token_file)
    url = issuer.jwks_url or _discovered(issuer, bearer)
    # Wherever else the configuration leads, the token is not for there.
    shown = bearer if issuer.jwks_url or _origin(url) == _origin(issuer.url) else ""
    return read_keys(fetch_json(url, authorities=issuer.ca_file, bearer=shown), url)


def _discovered(issuer: Issuer, bearer: str) -> str:
    configuration = fetch_json(issuer.keys_at, authorities=issuer.ca_file, bearer=bearer)
    named = configuration.get("issuer")
    if not isinstance(named, str) or named.rstrip("/") != issuer.url:
        raise IssuerError(
            f"{issuer.keys_at} is of the issuer {str(named)[:200]!r}: set oidc_issuer to that, which also stands in its"
            " tokens, and oidc_jwks_url to where its keys are if they are not found from there"
        )
    url = configuration.get("jwks_uri")
    if not isinstance(url, str) or not _is_usable(url):
        raise IssuerError(
            f"{issuer.keys_at} names no https address of its keys (jwks_uri): set oidc_jwks_url to it"
        )
    return url


def _is_usable(url: str) -> bool:
    try:
        check_url(url.partition("?")[0])
    except ValueError:
        return False
    return url.isascii() and url.isprintable() and is_protected(url)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


def _bearer(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise IssuerError(
            f"oidc_token_file is {file}, which cannot be read ({reason}): name a file with a token"
        ) from None
    if not token or len(token) > LONGEST_TOKEN or not token.isprintable() or " " in token:
        raise IssuerError(
            f"oidc_token_file is {file}, which does not hold a token and nothing else: write one into it"
        )
    return token

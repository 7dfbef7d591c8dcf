"""What each door asks for, from the settings."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bridge.access import Authentication, Authenticator, Role
from bridge.access.certificate_names import AnyCertificate, CertificateNames
from bridge.access.rules import Rules, read_rules
from bridge.access.tokens import Tokens
from bridge.access.watched_file import WatchedFile
from bridge.config import Settings
from bridge.connections import Connection, blocking
from bridge.errors import SettingError
from bridge.telemetry import Telemetry

if TYPE_CHECKING:
    from bridge.access.issuer import Issuer

ISSUER = "oidc"
"""As a connection that is checked."""

NO_RULE = "since no rule says whom a certificate admits"
ADD_RULES = "add `certificates` to access_rules_file, such as {{name: people, match: '*.example.org', roles: [{role}]}}"

Authenticators = tuple[Authenticator, ...]


@dataclass(frozen=True, slots=True)
class Doors:
    """What is asked for over gRPC, and over HTTP."""

    grpc: Authentication
    http: Authentication


def doors(settings: Settings, telemetry: Telemetry) -> Doors:
    """Return what both doors ask for; raises SettingError for a file that cannot be used."""
    rules = _rules(settings, telemetry)
    tokens: Authenticators = ()
    if settings.tokens_file is not None:
        tokens += (Tokens(settings.tokens_file, telemetry),)
    issuer = _issuer(settings)
    if issuer is not None and rules is not None:  # the settings ask for both
        tokens += (_json_web_tokens(issuer, rules, telemetry),)
    return Doors(
        grpc=Authentication(tokens + _grpc_certificates(settings, rules, tokens)),
        http=Authentication(tokens + _http_certificates(settings, rules, tokens)),
    )


def issuer_connections(settings: Settings) -> tuple[Connection, ...]:
    """Return the connection to the issuer of JSON Web Tokens, where there is one; nothing is tried yet."""
    issuer = _issuer(settings)
    if issuer is None:
        return ()
    return (Connection(ISSUER, issuer.keys_at, blocking(partial(_probe, issuer))),)


def _probe(issuer: "Issuer") -> None:
    from bridge.access.issuer import fetch_keys  # noqa: PLC0415 -- see below

    fetch_keys(issuer)


def _issuer(settings: Settings) -> "Issuer | None":
    if settings.oidc_issuer is None:
        return None
    # What verifies signatures takes long to import, and only bridges with an issuer need it.
    from bridge.access.issuer import Issuer  # noqa: PLC0415

    return Issuer(
        settings.oidc_issuer,
        settings.oidc_audience,
        jwks_url=settings.oidc_jwks_url or "",
        ca_file=settings.oidc_ca_file,
        token_file=settings.oidc_token_file,
    )


def _json_web_tokens(
    issuer: "Issuer", rules: WatchedFile[Rules], telemetry: Telemetry
) -> Authenticator:
    from bridge.access.issuer_keys import IssuerKeys  # noqa: PLC0415 -- see above
    from bridge.access.json_web_tokens import JsonWebTokens  # noqa: PLC0415

    keys = IssuerKeys(issuer, telemetry, on_used=partial(_issuer_used, telemetry))
    return JsonWebTokens(issuer, keys, rules)


def _issuer_used(telemetry: Telemetry, works: bool) -> None:  # noqa: FBT001 -- a callback
    """Have the connection checked soon, where its last check showed something else."""
    telemetry.on_connection_used(ISSUER, works)


def _rules(settings: Settings, telemetry: Telemetry) -> WatchedFile[Rules] | None:
    if settings.access_rules_file is None:
        return None
    return WatchedFile(settings.access_rules_file, read_rules, telemetry)


def _grpc_certificates(
    settings: Settings, rules: WatchedFile[Rules] | None, tokens: Authenticators
) -> Authenticators:
    """Return who knows the certificates without which nobody connects; by them alone, without rules, all of them admit."""
    if settings.tls_client_ca_file is None:
        return ()
    if rules is None:
        return () if tokens else (AnyCertificate(),)
    if not tokens and not rules.content().certificates:
        raise SettingError(
            f"tls_client_ca_file: by which nobody could come in over gRPC, {NO_RULE}: {ADD_RULES.format(role=Role.INGEST)}, or"
            " leave access_rules_file out, so that every certificate of that authority may report sessions"
        )
    return (CertificateNames(rules, beside_tokens=bool(tokens)),)


def _http_certificates(
    settings: Settings, rules: WatchedFile[Rules] | None, tokens: Authenticators
) -> Authenticators:
    """Return who knows the certificates that may be shown, where a door does not admit anybody anyway."""
    if settings.http_tls_client_ca_file is None or settings.allow_anonymous:
        return ()
    if rules is not None and (tokens or rules.content().certificates):
        return (CertificateNames(rules, beside_tokens=bool(tokens)),)
    if tokens:
        return ()
    raise SettingError(
        f"http_tls_client_ca_file: by which nobody could come in over HTTP, {NO_RULE}:"
        f" {ADD_RULES.format(role=Role.VIEW)}, or set tokens_file or oidc_issuer"
    )

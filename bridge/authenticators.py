"""What each door asks for, from the settings."""

from dataclasses import dataclass

from bridge.access import Authentication, Authenticator
from bridge.access.certificate_names import AnyCertificate, CertificateNames
from bridge.access.rules import Rules, read_rules
from bridge.access.tokens import Tokens
from bridge.access.watched_file import WatchedFile
from bridge.config import Settings
from bridge.errors import SettingError
from bridge.telemetry import Telemetry

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
    return Doors(
        grpc=Authentication(tokens + _grpc_certificates(settings, rules, tokens)),
        http=Authentication(tokens + _http_certificates(settings, rules, tokens)),
    )


def _rules(settings: Settings, telemetry: Telemetry) -> WatchedFile[Rules] | None:
    if settings.access_rules_file is None:
        return None
    return WatchedFile(settings.access_rules_file, read_rules, telemetry)


def _grpc_certificates(
    settings: Settings, rules: WatchedFile[Rules] | None, tokens: Authenticators
) -> Authenticators:
    """Return who knows the certificates without which nobody connects; by them alone, all of them admit."""
    if settings.tls_client_ca_file is None:
        return ()
    if rules is not None and rules.content().certificates:
        return (CertificateNames(rules, beside_tokens=bool(tokens)),)
    return () if tokens else (AnyCertificate(),)


def _http_certificates(
    settings: Settings, rules: WatchedFile[Rules] | None, tokens: Authenticators
) -> Authenticators:
    """Return who knows the certificates that may be shown, where a door does not admit anybody anyway."""
    if settings.http_tls_client_ca_file is None or settings.allow_anonymous:
        return ()
    if rules is not None and rules.content().certificates:
        return (CertificateNames(rules, beside_tokens=bool(tokens)),)
    if tokens:
        return ()
    raise SettingError(
        "http_tls_client_ca_file: by which nobody could come in over HTTP, since no rule says whom a certificate admits:"
        " add `certificates` to access_rules_file, such as {name: people, match: '*.example.org', roles: [view]}, or set"
        " tokens_file or oidc_issuer"
    )

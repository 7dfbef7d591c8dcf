"""Settings of who may come in, at both doors."""

from typing import Any

from pydantic import BaseModel

from bridge.addresses import is_loopback, is_protected
from bridge.config.fields import ReadableFile, Url, setting


class Access(BaseModel):
    """Who may stream, read pages, send commands and scrape."""

    tokens_file: ReadableFile | None = setting(
        None,
        "A YAML file with the hashes of tokens, and what each admits to; it is read again when it changes. "
        "`trainbridge token new` makes tokens.",
        expected="a YAML file of the form that `trainbridge token new` prints",
    )
    allow_anonymous: bool = setting(
        False,
        "Let anybody in who reaches an address beyond this machine; without it, such an address needs tokens, an "
        "issuer of JSON Web Tokens, or client certificates.",
        expected="true, to let in whoever reaches the bridge, or false",
    )
    access_rules_file: ReadableFile | None = setting(
        None,
        "A YAML file with rules of whom the claims of a JSON Web Token, or the names of a client certificate, admit, and to "
        "what; it is read again when it changes.",
        expected="a YAML file with the lists `claims` and `certificates`",
    )
    oidc_issuer: Url | None = setting(
        None,
        "Who issues the JSON Web Tokens that are taken (OpenID Connect, or a Kubernetes API server for its service accounts).",
        expected="a URL such as https://login.example.org or https://kubernetes.default.svc.cluster.local",
    )
    oidc_audience: str = setting(
        "trainbridge",
        "The audience that a JSON Web Token must be made out to.",
        expected="a name, such as trainbridge",
        min_length=1,
    )
    oidc_jwks_url: Url | None = setting(
        None,
        "Where the issuer's keys are.",
        expected="a URL such as https://login.example.org/keys",
        default_text="as the issuer's .well-known/openid-configuration says",
    )
    oidc_ca_file: ReadableFile | None = setting(
        None,
        "The authorities that the issuer's certificate is verified against.",
        expected="a PEM file",
        default_text="those of the system",
    )
    oidc_token_file: ReadableFile | None = setting(
        None,
        "A file with a bearer token for the issuer's configuration and keys, which the API server of a Kubernetes cluster may "
        "ask for; it is read again each time.",
        expected="a file with a token",
    )


def check_access(settings: Any) -> None:
    """Refuse settings that contradict each other, and doors that are open to other machines unasked; raises ValueError."""
    asks = settings.tokens_file is not None or settings.oidc_issuer is not None
    if asks and settings.allow_anonymous:
        given = "tokens_file" if settings.tokens_file is not None else "oidc_issuer"
        raise ValueError(
            f"allow_anonymous: which lets in whoever comes, though {given} asks for a token"
        )
    if settings.oidc_issuer is not None and settings.access_rules_file is None:
        raise ValueError(
            "access_rules_file: which is missing, though oidc_issuer needs rules of whom its tokens admit"
        )
    keys = "oidc_issuer" if settings.oidc_jwks_url is None else "oidc_jwks_url"
    if settings.oidc_issuer is not None and not is_protected(getattr(settings, keys)):
        raise ValueError(
            f"{keys}: which does not begin with https://, so that whoever is in between could put keys of his own in place"
            " of the issuer's"
        )
    if settings.allow_anonymous or asks:
        return
    for name, authority in (
        ("grpc_address", "tls_client_ca_file"),
        ("http_address", "http_tls_client_ca_file"),
    ):
        address = getattr(settings, name)
        if not is_loopback(address) and getattr(settings, authority) is None:
            raise ValueError(
                f"allow_anonymous: though other machines can reach {name} {address}, and nothing says who may come in"
                f" there: set tokens_file (`trainbridge token new` begins one), oidc_issuer or {authority}, or change"
                " this one"
            )

"""Settings of TLS at both doors."""

from typing import Any

from pydantic import BaseModel

from bridge.config.fields import ReadableFile, setting


class Tls(BaseModel):
    """How the gRPC server is secured."""

    tls_cert_file: ReadableFile | None = setting(
        None,
        "The bridge's certificate, followed by its chain; renewed files are loaded without a restart.",
        expected="a PEM file, with `tls_key_file` beside it",
    )
    tls_key_file: ReadableFile | None = setting(
        None,
        "The private key of the certificate.",
        expected="a PEM file, with `tls_cert_file` beside it",
    )
    tls_client_ca_file: ReadableFile | None = setting(
        None,
        "The authorities that client certificates are verified against; with it, a client without such a certificate is refused.",
        expected="a PEM file, with `tls_cert_file` and `tls_key_file` beside it",
    )


class HttpTls(BaseModel):
    """How the HTTP server is secured."""

    http_tls_cert_file: ReadableFile | None = setting(
        None,
        "The certificate of the HTTP server, followed by its chain; renewed files are loaded without a restart.",
        expected="a PEM file, with `http_tls_key_file` beside it",
    )
    http_tls_key_file: ReadableFile | None = setting(
        None,
        "The private key of that certificate.",
        expected="a PEM file, with `http_tls_cert_file` beside it",
    )
    http_tls_client_ca_file: ReadableFile | None = setting(
        None,
        "The authorities that client certificates over HTTP are verified against. A client may come without one, and show a "
        "token; one that has one is known by its names, as `access_rules_file` says.",
        expected="a PEM file, with `http_tls_cert_file` and `http_tls_key_file` beside it",
    )


def check_tls(settings: Any, prefix: str) -> None:
    """Refuse a certificate without its key, and clients that are to show one without TLS; raises ValueError."""
    cert, key, authority = (
        f"{prefix}_{name}" for name in ("cert_file", "key_file", "client_ca_file")
    )
    has_cert, has_key = (getattr(settings, name) is not None for name in (cert, key))
    if has_cert != has_key:
        missing = key if has_cert else cert
        raise ValueError(
            f"{missing}: which is missing, though certificate and key must be set together"
        )
    if getattr(settings, authority) is not None and not has_cert:
        raise ValueError(f"{authority}: which needs TLS, that is, {cert} and {key}")

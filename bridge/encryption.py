"""TLS at both doors, from the settings, and the addresses that follow from it."""

from collections.abc import Callable

from bridge.addresses import url_of
from bridge.certificates import CertificateFiles, fingerprint_of
from bridge.config import Settings
from bridge.errors import SettingError
from bridge.receiver.certificates import Certificates
from bridge.telemetry import Telemetry
from bridge.web import HttpTls


def grpc_certificates(settings: Settings, telemetry: Telemetry) -> Certificates | None:
    """Return the certificates of the gRPC server, or None for plain text."""
    cert, key = settings.tls_cert_file, settings.tls_key_file
    if cert is None or key is None:
        return None
    return Certificates(CertificateFiles(cert, key, settings.tls_client_ca_file), telemetry)


def http_fingerprint(settings: Settings) -> str:
    """Return by what other bridges know the certificate of the HTTP server, "" for plain text; raises SettingError."""
    if settings.http_tls_cert_file is None:
        return ""
    try:
        return fingerprint_of(settings.http_tls_cert_file)
    except (OSError, ValueError) as error:
        raise SettingError(f"http_tls_cert_file: it cannot be read: {error}") from error


def http_tls(
    settings: Settings, telemetry: Telemetry, on_renewed: Callable[[], object] | None = None
) -> HttpTls | None:
    """Return the certificate of the HTTP server, or None for plain text; `on_renewed` is called once it is another."""
    cert, key = settings.http_tls_cert_file, settings.http_tls_key_file
    if cert is None or key is None:
        return None
    files = CertificateFiles(cert, key, settings.http_tls_client_ca_file, prefix="http_")
    return HttpTls(files, telemetry, on_renewed)


def local_url_of(settings: Settings, address: str) -> str:
    """Return where a browser on this machine finds the pages."""
    return url_of(address, is_secure=settings.http_tls_cert_file is not None)


def training_address(settings: Settings, address: str) -> str:
    """Return what a training loop is given to connect to."""
    return address if settings.tls_cert_file is None else f"grpcs://{address}"

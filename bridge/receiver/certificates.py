"""TLS for the gRPC server, from files that may be renewed while the bridge runs."""

import ssl
import tempfile
from pathlib import Path

import grpc

from bridge.certificates import CertificateFiles, RenewedFiles, server_context
from bridge.telemetry import Telemetry


class Certificates:
    """Reads the files at the start, and again at the first handshake after they have changed."""

    def __init__(self, files: CertificateFiles, telemetry: Telemetry) -> None:
        """Read nothing yet."""
        self._files = RenewedFiles(files, _configuration, telemetry)

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a server is bound with; raises SettingError for files that do not belong together."""
        return grpc.dynamic_ssl_server_credentials(
            self._files.first(),
            self._files.renewed,  # type: ignore[arg-type]  # None means that nothing has changed; runs in gRPC's threads
            require_client_authentication=self._files.files.client_authority is not None,
        )


def _configuration(files: CertificateFiles) -> grpc.ServerCertificateConfiguration:
    certificate, key = files.certificate.read_bytes(), files.key.read_bytes()
    _check_pair(certificate, key)
    authority = None if files.client_authority is None else files.client_authority.read_bytes()
    if authority is not None:
        ssl.create_default_context(cadata=authority.decode("ascii", errors="replace"))
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)


def _check_pair(certificate: bytes, key: bytes) -> None:
    """Raise ssl.SSLError where the two do not belong together: gRPC would only fail each handshake."""
    with (
        tempfile.NamedTemporaryFile() as both
    ):  # readable by its owner alone, and the module takes files only
        both.write(key + b"\n" + certificate)
        both.flush()
        path = Path(both.name)
        server_context(CertificateFiles(path, path))

"""TLS for the gRPC server, from files that may be renewed while the bridge runs."""

import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from bridge.errors import SettingError
from bridge.telemetry import Telemetry

Stamp = tuple[tuple[int, int], ...]
"""Of each file, when it was changed and its inode: a mounted secret is renewed by pointing a link elsewhere."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the bridge's certificate is, and who vouches for its clients."""

    certificate: Path
    """PEM, the chain behind it."""
    key: Path
    client_authority: Path | None = None
    """PEM; None: clients need no certificate."""

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file there is."""
        files = (self.certificate, self.key, self.client_authority)
        return tuple(file for file in files if file is not None)


@dataclass(slots=True)
class Certificates:
    """Reads the files at the start, and again at the first handshake after they have changed.

    A renewal that cannot be used is logged once, and the certificate before stays in use.
    """

    files: CertificateFiles
    telemetry: Telemetry
    _seen: Stamp = field(default=())

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a server is bound with; raises SettingError for files that do not belong together."""
        self._seen = _stamp(self.files)
        try:
            first = _configuration(self.files)
        except (OSError, ssl.SSLError) as error:
            raise SettingError(_reason(self.files, error)) from error
        return grpc.dynamic_ssl_server_credentials(
            first,
            self._renewed,  # type: ignore[arg-type]  # None means that nothing has changed
            require_client_authentication=self.files.client_authority is not None,
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new certificate, or None where the one in use is to stay; runs in gRPC's threads."""
        try:
            stamp = _stamp(self.files)
            if stamp == self._seen:
                return None
            self._seen = stamp
            renewed = _configuration(self.files)
        except (OSError, ssl.SSLError) as error:
            self.telemetry.certificate_kept(_reason(self.files, error))
            return None
        self.telemetry.event("certificate renewed", file=str(self.files.certificate))
        return renewed


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
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(both.name)


def _stamp(files: CertificateFiles) -> Stamp:
    found = [file.stat() for file in files.all]
    return tuple((status.st_mtime_ns, status.st_ino) for status in found)


def _reason(files: CertificateFiles, error: Exception) -> str:
    if (
        isinstance(error, OSError)
        and error.filename is not None
        and not isinstance(error, ssl.SSLError)
    ):
        return (
            f"tls_cert_file, tls_key_file or tls_client_ca_file: {error.filename} cannot be read"
            f" ({error.strerror}): correct the name, or let user {os.geteuid()} read it"
        )
    names = ", ".join(str(file) for file in files.all)
    return (
        f"tls_cert_file: {names} are not PEM files of a certificate and its own key: set tls_cert_file and"
        " tls_key_file to two that belong together, and tls_client_ca_file to certificates"
    )

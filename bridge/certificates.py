"""The files of a server's certificate, which may be renewed while the bridge runs."""

import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Generic, TypeVar

from bridge.errors import SettingError
from bridge.telemetry import Telemetry

Loaded = TypeVar("Loaded")

PEM_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

Stamp = tuple[tuple[int, int] | None, ...]
"""Of each file, when it was changed and its inode: a mounted secret is renewed by pointing a link elsewhere."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a server's certificate is, and who vouches for its clients."""

    certificate: Path
    """PEM, the chain behind it."""
    key: Path
    client_authority: Path | None = None
    """PEM; None: no client is asked for a certificate."""
    prefix: str = ""
    """What the names of the settings begin with: "" or "http_"."""

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file there is."""
        files = (self.certificate, self.key, self.client_authority)
        return tuple(file for file in files if file is not None)


class RenewedFiles(Generic[Loaded]):
    """Loads the files at the start, and again when they have changed.

    A renewal that cannot be used is logged once, and what was loaded before stays in use.
    """

    def __init__(
        self,
        files: CertificateFiles,
        load: Callable[[CertificateFiles], Loaded],
        telemetry: Telemetry,
    ) -> None:
        """Read nothing yet; `load` raises OSError or ssl.SSLError for files that cannot be used."""
        self.files = files
        self._load = load
        self._telemetry = telemetry
        self._seen: Stamp = ()

    def first(self) -> Loaded:
        """Load the files; raises SettingError where they cannot be read, or do not belong together."""
        self._seen = _stamp(self.files)
        try:
            return self._load(self.files)
        except (OSError, ssl.SSLError) as error:
            raise SettingError(_reason(self.files, error)) from error

    def renewed(self) -> Loaded | None:
        """Load the files again; None where nothing has changed, or what has cannot be used."""
        stamp = _stamp(self.files)
        if stamp == self._seen:
            return None
        self._seen = stamp
        try:
            loaded = self._load(self.files)
        except (OSError, ssl.SSLError) as error:
            self._telemetry.certificate_kept(_reason(self.files, error))
            return None
        self._telemetry.event("certificate renewed", file=str(self.files.certificate))
        return loaded


def server_context(files: CertificateFiles) -> ssl.SSLContext:
    """Return what a server speaks TLS with; a client certificate is asked for where somebody vouches for clients.

    Raises OSError, or ssl.SSLError where certificate and key do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    for file in files.all:
        file.read_bytes()  # the errors of the calls below do not name it
    # Without a password of ours, OpenSSL would ask for one at the terminal.
    context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    if files.client_authority is not None:
        context.load_verify_locations(files.client_authority)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def fingerprint_of(certificate: Path) -> str:
    """Return the SHA-256 of the first certificate of a PEM file, in hex, as whoever pins it knows it.

    Raises OSError, or ValueError for a file without one.
    """
    found = PEM_CERTIFICATE.search(certificate.read_text("ascii", errors="replace"))
    if found is None:
        raise ValueError(f"{certificate} has no certificate")
    return sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest()


def _stamp(files: CertificateFiles) -> Stamp:
    return tuple(_stamp_of(file) for file in files.all)


def _stamp_of(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _reason(files: CertificateFiles, error: Exception) -> str:
    certificate, key, authority = (
        f"{files.prefix}tls_{name}" for name in ("cert_file", "key_file", "client_ca_file")
    )
    if (
        isinstance(error, OSError)
        and error.filename is not None
        and not isinstance(error, ssl.SSLError)
    ):
        return (
            f"{certificate}, {key} or {authority}: {error.filename} cannot be read"
            f" ({error.strerror}): correct the name, or let user {os.geteuid()} read it"
        )
    names = ", ".join(str(file) for file in files.all)
    return (
        f"{certificate}: {names} are not PEM files of a certificate and its own key: set {certificate} and"
        f" {key} to two that belong together, the key without a password, and {authority} to certificates"
    )

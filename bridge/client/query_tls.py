"""What https:// is spoken with: who vouches for a bridge, and the certificate that it is shown."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from bridge.client.credentials import as_text, check_certificates, file_content

Given = tuple[str, str]
"""The name of a file, "" for none, and where it comes from."""

Stamp = tuple[tuple[int, int] | None, ...]


class ClientTls:
    """Reads the files of authorities and of a certificate, and again when they have changed."""

    def __init__(
        self,
        ca_file: str | os.PathLike[str] = "",
        cert_file: str | os.PathLike[str] = "",
        key_file: str | os.PathLike[str] = "",
        *,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Read nothing yet; files that are not given are those of TRAINBRIDGE_CA_FILE, ..._CERT_FILE and ..._KEY_FILE."""
        given = {"ca_file": ca_file, "cert_file": cert_file, "key_file": key_file}
        self.arguments = tuple(name for name, value in given.items() if value)
        self._ca, self._cert, self._key = (
            (as_text(value, name), f"the argument {name}")
            if value
            else (environment.get(variable := f"TRAINBRIDGE_{name.upper()}", ""), variable)
            for name, value in given.items()
        )
        self._context: ssl.SSLContext | None = None
        self._stamp: Stamp = ()

    def context(self) -> ssl.SSLContext:
        """Return what TLS is spoken with now.

        Raises ValueError and OSError where the files cannot be used; later, a renewal that cannot be used changes nothing.
        """
        stamp = tuple(_stamp(path) for path, _ in self._files)
        if self._context is None:
            self._context, self._stamp = self._load(), stamp
        elif stamp != self._stamp:
            self._stamp = stamp
            try:
                self._context = self._load()
            except (OSError, ValueError):
                return self._context
        return self._context

    @property
    def _files(self) -> tuple[Given, ...]:
        return tuple(file for file in (self._ca, self._cert, self._key) if file[0])

    def _load(self) -> ssl.SSLContext:
        for file in self._files:
            file_content(*file)  # its errors say which setting the file comes from
        check_certificates(self._ca, self._cert, self._key)
        authorities, cert, key = (
            Path(path).expanduser() if path else None
            for path, _ in (self._ca, self._cert, self._key)
        )
        # The variable is for gRPC, too: the pages may be behind a proxy whose certificate is a public one.
        is_only = "ca_file" in self.arguments
        context = ssl.create_default_context(cafile=authorities if is_only else None)
        # A bridge's own certificate vouches for itself, as over gRPC: a Secret of `kubectl create secret tls` holds no other.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if authorities is not None and not is_only:
            context.load_verify_locations(authorities)
        if cert is not None:
            context.load_cert_chain(cert, key, password=lambda: b"")
        return context


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).expanduser().stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


class FixedTls:
    """What somebody else has made up their mind about."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Take it as it is."""
        self._context = context

    def context(self) -> ssl.SSLContext:
        """Return it."""
        return self._context


def tls_source(
    url: str,
    ca_file: str | os.PathLike[str],
    cert_file: str | os.PathLike[str],
    key_file: str | os.PathLike[str],
    context: ssl.SSLContext | None,
) -> ClientTls | FixedTls:
    """Return what https:// is spoken with; raises ValueError for files that are given though they would not be used."""
    files = ClientTls(ca_file, cert_file, key_file)
    unused = "" if url.strip().lower().startswith("https:") and context is None else files.arguments
    if unused:
        reason = "an ssl_context is given, too" if context else "http:// has no TLS: give https://"
        raise ValueError(f"{unused[0]}: it would not be used, since {reason}")
    return files if context is None else FixedTls(context)

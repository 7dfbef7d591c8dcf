"""Tokens and certificates as they are given: checked when a session is constructed, and never shown."""

import os
import ssl
from pathlib import Path

TOKEN_LIMIT = 7_000
"""Characters: gRPC takes 8 KiB of headers for sure, and at random refuses calls with more."""


def is_header_value(text: str) -> bool:
    """Return whether a header of HTTP/2 can carry a text; gRPC fails every call with one that it cannot."""
    return text.isascii() and text.isprintable() and text == text.strip()


def as_text(value: object, name: str) -> str:
    """Return an argument that has to be text, or a path. Raises ValueError, which does not show it."""
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name}: a {type(value).__name__} is not text")
    return os.fspath(value)


def checked_token(text: str, source: str) -> str:
    """Return a token without the white space around it. Raises ValueError, which does not show it."""
    token = text.strip()
    if len(token) > TOKEN_LIMIT:
        raise ValueError(
            f"token: {source} has {len(token)} characters, and headers of gRPC have room for {TOKEN_LIMIT};"
            " give the token alone, or have a shorter one issued"
        )
    for place, letter in enumerate(token):
        if not is_header_value(letter) and letter != " ":
            kind = "a line break" if letter in "\r\n" else "a character that is not printable ASCII"
            raise ValueError(
                f"token: {source} has {kind} at position {place}, which no header can carry;"
                " give the token alone, as it was issued"
            )
    return token


def token_from_file(path: str, source: str) -> str:
    """Return the token in a file. Raises OSError, and ValueError for a file that holds none."""
    content = file_content(path, source)
    try:
        token = checked_token((content or b"").decode("utf-8-sig"), f"the file {path} ({source})")
    except UnicodeDecodeError:
        raise ValueError(f"token: the file {path} ({source}) is not text") from None
    if content is not None and not token:
        raise ValueError(f"token: the file {path} ({source}) is empty; write the token into it")
    return token


def file_content(path: str, source: str) -> bytes | None:
    """Return what a file holds; None for no path. Raises OSError, which names the setting it comes from."""
    if not path:
        return None
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        reason = f"{error.strerror or type(error).__name__} ({source})"
        raise type(error)(error.errno, reason, path) from error


def check_certificates(
    ca_file: tuple[str, str], cert_file: tuple[str, str], key_file: tuple[str, str]
) -> None:
    """Raise ValueError where files, each given with its source, are not what TLS needs.

    gRPC only says that it "failed to create a security handshaker", at every attempt.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    path, source = ca_file
    if path:
        try:
            context.load_verify_locations(Path(path).expanduser())
        except ssl.SSLError:
            raise ValueError(
                f"ca_file: {path} ({source}) holds no certificates in PEM format"
            ) from None
    if bool(cert_file[0]) != bool(key_file[0]):
        given, missing = ("cert_file", "key_file") if cert_file[0] else ("key_file", "cert_file")
        raise ValueError(
            f"{given}: a certificate and its key belong together; give {missing} too"
            f" (TRAINBRIDGE_{missing.upper()})"
        )
    if cert_file[0]:
        _check_pair(context, cert_file, key_file)


def _check_pair(
    context: ssl.SSLContext, cert_file: tuple[str, str], key_file: tuple[str, str]
) -> None:
    paths = Path(cert_file[0]).expanduser(), Path(key_file[0]).expanduser()
    try:
        context.load_cert_chain(*paths, password=lambda: b"")
    except ssl.SSLError as error:
        what = (
            "do not belong together"
            if error.reason == "KEY_VALUES_MISMATCH"
            else "are not a certificate and an unencrypted key in PEM format"
        )
        raise ValueError(
            f"cert_file, key_file: {cert_file[0]} ({cert_file[1]}) and"
            f" {key_file[0]} ({key_file[1]}) {what}"
        ) from None

"""Makes tokens, and adds their entries to a tokens file."""

import fcntl
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bridge.access.identity import Role
from bridge.access.tokens import TokenEntry, hash_of_token, read_tokens
from bridge.errors import SettingError

BEGINNING = "tb_"
"""Of every token: scanners for secrets know them by it."""

TOKEN_BYTES = 32

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._@/-]*")
"""A name that YAML takes for a text, but for these."""

WORDS = ("null", "Null", "NULL")

BLOCK_ENTRY = re.compile(r"^( *)- ", re.MULTILINE)

FIRST_LINE = "tokens:\n"

EMPTY_LIST = re.compile(r"^tokens: *(?:\[ *\]|null|~) *$", re.MULTILINE)

MODE = 0o600
"""Of a new file."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a new token is for."""

    name: str
    roles: tuple[Role, ...]
    sessions: str = ""
    expires_at: int | None = None
    """In seconds since 1970; None: never."""


def new_token() -> str:
    """Return a token of 256 random bits, which its holder can tell from others at sight."""
    return BEGINNING + secrets.token_urlsafe(TOKEN_BYTES)


def entry_text(grant: Grant, token: str, indent: str = "") -> str:
    """Return the entry of a token as a tokens file has it."""
    is_plain = PLAIN.fullmatch(grant.name) and grant.name not in WORDS
    lines = [
        f"- name: {grant.name if is_plain else json.dumps(grant.name)}",
        f"  sha256: {hash_of_token(token)}",
        f"  roles: [{', '.join(grant.roles)}]",
    ]
    if grant.sessions:
        lines.append(f"  sessions: {json.dumps(grant.sessions)}")
    if grant.expires_at is not None:
        moment = datetime.fromtimestamp(grant.expires_at, UTC)
        lines.append(f"  expires: {moment:%Y-%m-%dT%H:%M:%SZ}")
    return "".join(f"{indent}{line}\n" for line in lines)


def add_entry(path: Path, grant: Grant, token: str) -> None:
    """Add the entry of a token to a file, which need not be there yet; what else stands in it stays as it is.

    Readers see the file before or after, never in between. Raises SettingError for a name that it has already, and
    for a file that is not what a bridge takes, or cannot be written.
    """
    path = path.resolve()
    try:
        with _alone(path.parent):
            known = read_tokens(path) if path.exists() else ()
            _check_name(known, grant.name, path)
            _write(path, known, grant, token)
    except OSError as error:
        raise SettingError(
            f"--file: {path} cannot be written: {error.strerror}; give a file in a folder that exists and can be written"
            " to"
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others who add entries in this folder waiting."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check_name(known: tuple[TokenEntry, ...], name: str, path: Path) -> None:
    if any(entry.identity.name == name for entry in known):
        raise SettingError(
            f"{path} has a token of the name {name} already: give another name, or remove that entry first, which ends"
            " what came in with it"
        )


def _write(path: Path, known: tuple[TokenEntry, ...], grant: Grant, token: str) -> None:
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_extended(before, grant, token))
            file.flush()
            _take_over(path, file.fileno())
            os.fsync(file.fileno())
        _check_result(unfinished, path, known, grant, token)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _extended(before: str, grant: Grant, token: str) -> str:
    if not before.strip():
        return FIRST_LINE + entry_text(grant, token)
    before = EMPTY_LIST.sub("tokens:", before)
    indents = BLOCK_ENTRY.findall(before)
    ending = "" if before.endswith("\n") else "\n"
    return before + ending + entry_text(grant, token, indents[-1] if indents else "")


def _take_over(path: Path, descriptor: int) -> None:
    """Give the new file the mode and, where that is allowed, the owner of the one before."""
    if not path.exists():
        os.fchmod(descriptor, MODE)
        return
    status = path.stat()
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, status.st_mode & 0o7777)


def _check_result(
    unfinished: Path, path: Path, known: tuple[TokenEntry, ...], grant: Grant, token: str
) -> None:
    """Raise SettingError where the entry did not come to stand where it belongs."""
    try:
        found = read_tokens(unfinished)
    except SettingError:
        found = ()
    hashes = [entry.sha256 for entry in found]
    if hashes != [*(entry.sha256 for entry in known), hash_of_token(token)]:
        raise SettingError(
            f"{path} is not written with one `- name: ...` below the other, and `tokens:` last, so nothing was added: rewrite"
            f" it so, or leave --file out and add by hand what is printed for {grant.name}"
        )

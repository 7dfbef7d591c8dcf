"""Tokens that an operator has handed out, known by their hashes."""

import hmac
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path

from bridge.access.credentials import Credentials
from bridge.access.entries import known_keys, listed, name_in, roles_in, sessions_in
from bridge.access.identity import Identity
from bridge.access.watched_file import WatchedFile
from bridge.config.yaml_file import read_yaml
from bridge.errors import SettingError
from bridge.stream_proof import hash_of
from bridge.telemetry import Telemetry

SHA256 = re.compile(r"[0-9a-f]{64}")

FIELDS = ("name", "sha256", "roles", "sessions", "expires")

MAX_TOKENS = 1_000
"""In one file: each request compares with all of them."""


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """One token of the file."""

    sha256: str = field(repr=False)
    """Of the token, in hex: a token is random and long, so it needs no salt."""
    identity: Identity


def hash_of_token(token: str) -> str:
    """Return what a tokens file holds of a token."""
    return hash_of(token)


def read_tokens(path: Path) -> tuple[TokenEntry, ...]:
    """Return the entries of a tokens file; raises SettingError, which names the entry and what would be right."""
    content = read_yaml(path, "tokens_file")
    known_keys(content, ("tokens",), f"tokens_file is {path}, which")
    rows = listed(content, "tokens", f"tokens_file is {path}", limit=MAX_TOKENS)
    entries = tuple(
        _entry(row, f"tokens_file is {path}, whose entry {number}") for number, row in rows
    )
    _check_unique(entries, path)
    return entries


def find_token(token: str, entries: tuple[TokenEntry, ...]) -> TokenEntry | None:
    """Return the entry of a token, whose comparison takes as long wherever, and whether, it stands there."""
    hashed = hash_of_token(token)
    found = None
    for entry in entries:
        if hmac.compare_digest(entry.sha256, hashed):
            found = entry
    return found


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The entries of a file, and whom they admit."""

    entries: tuple[TokenEntry, ...]
    identities: frozenset[Identity]

    @classmethod
    def read(cls, path: Path) -> "TokenTable":
        """Return what a tokens file holds; raises SettingError as `read_tokens` does."""
        entries = read_tokens(path)
        return cls(entries, frozenset(entry.identity for entry in entries))


class Tokens:
    """Identifies by the tokens of a file, which may change while the bridge runs."""

    def __init__(self, path: Path, telemetry: Telemetry) -> None:
        """Read the file; raises SettingError where it cannot be used."""
        self._file = WatchedFile(path, TokenTable.read, telemetry)

    async def identify(self, credentials: Credentials) -> Identity | None:
        """Return whose token it is; None: it does not stand in the file."""
        if not credentials.token:
            return None
        entry = find_token(credentials.token, self._file.content().entries)
        return None if entry is None else entry.identity

    def is_current(self, identity: Identity) -> bool:
        """Return whether the token of an identity is still in the file, with the same rights."""
        return identity in self._file.content().identities


def _entry(row: Mapping[str, object], where: str) -> TokenEntry:
    known_keys(row, FIELDS, where)
    name = name_in(row, where)
    where = f"{where} ({name})"
    hashed = row.get("sha256")
    if not isinstance(hashed, str) or not SHA256.fullmatch(hashed):
        raise SettingError(
            f"{where} has no sha256 of 64 lower-case hexadecimal digits: `trainbridge token new` prints one"
        )
    identity = Identity(
        name, roles_in(row, where), sessions_in(row, where), _expiry(row, where), key=hashed
    )
    return TokenEntry(hashed, identity)


def _expiry(row: Mapping[str, object], where: str) -> float:
    value = row.get("expires")
    if value in (None, "", "never"):
        return math.inf
    try:
        return _moment(value if isinstance(value, str) else "").timestamp()
    except ValueError:
        raise SettingError(
            f"{where} has an expires that is not a date: give one such as 2027-01-31, or 2027-01-31T12:00:00Z, or never"
        ) from None


def _moment(text: str) -> datetime:
    """Return a moment in UTC; a date means its end."""
    if len(text) == len("2027-01-31"):
        return datetime.combine(date.fromisoformat(text), time.max, UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check_unique(entries: tuple[TokenEntry, ...], path: Path) -> None:
    names: set[str] = set()
    hashes: set[str] = set()
    for entry in entries:
        name = entry.identity.name
        if name in names:
            raise SettingError(
                f"tokens_file is {path}, in which the name {name} stands twice: give each token a name of its own"
            )
        if entry.sha256 in hashes:
            raise SettingError(
                f"tokens_file is {path}, whose entry {name} has the sha256 of another one: make a token for each,"
                " with `trainbridge token new`"
            )
        names.add(name)
        hashes.add(entry.sha256)

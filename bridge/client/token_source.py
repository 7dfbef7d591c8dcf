"""The token that a client shows a bridge, and where it comes from: one in a file is read again when it was renewed."""

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from bridge.client.credentials import as_text, checked_token, token_from_file

log = logging.getLogger("trainbridge")

FILE_BYTES = 65_536
"""More than any token has; a file that has become larger than this is not read."""

SHORTEST_HIDDEN = 6
"""A text of fewer letters protects nothing, and occurs in every sentence."""

HIDDEN = "[token]"

MOST_WARNINGS = 64

_WARNED: set[str] = set()
"""Where a token has gone in plain text: a sweep makes many sessions, and one line says it."""


class TokenSource:
    """A token, "" for none, and where it comes from.

    The file is read when this is made, and again by `refresh`: kubelets replace projected tokens before they
    expire, by a symbolic link. Threads may share it.
    """

    def __init__(self, value: str = "", source: str = "", *, path: Path | None = None) -> None:
        """Hold the token of a setting, `source`, which was read from a file where there is a `path`. Raises ValueError."""
        self.value = checked_token(value, source)
        self._setting = source
        self.path = path
        """None: the token stays what it is."""
        self.problem = ""
        """Why the file had nothing usable when it was last read; the token is still the one before."""

    def __repr__(self) -> str:
        """Return where it comes from, and not the token."""
        return f"TokenSource({self.source!r})"

    def __bool__(self) -> bool:
        """Return whether there is a token."""
        return bool(self.value)

    @property
    def source(self) -> str:
        """Return where it comes from, for people."""
        return f"the file {self.path} ({self._setting})" if self.path else self._setting

    @property
    def header(self) -> str:
        """Return the value of an Authorization header; "" for no token."""
        return f"Bearer {self.value}" if self.value else ""

    def refresh(self) -> bool:
        """Read the file again, and return whether it has another token than before.

        Where it is missing, empty or unusable, as it may be for a moment while it is renewed, the token stays.
        """
        if self.path is None:
            return False
        try:
            found = self._read(self.path)
        except OSError as error:
            self.problem = f"it cannot be read now: {error.strerror}"
            return False
        except ValueError as error:
            self.problem = str(error)
            return False
        self.problem = ""
        if found == self.value:
            return False
        self.value = found
        return True

    def hide_in(self, text: str) -> str:
        """Return a text of somebody else's without the token, which they may have repeated."""
        return hidden(text, self.value)

    def _read(self, path: Path) -> str:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a pipe again would wait for its writer
            raise ValueError("it is not a regular file, and was read only once")
        if found.st_size > FILE_BYTES:
            raise ValueError(f"it has {found.st_size} bytes, which is not a token")
        return token_from_file(str(path), self._setting)


def token_source(
    token: object = "", token_file: object = "", environment: Mapping[str, str] = os.environ
) -> TokenSource:
    """Return the token: of the argument, else of the file, else of TRAINBRIDGE_TOKEN, else of TRAINBRIDGE_TOKEN_FILE.

    Raises ValueError for a token that no header can carry, and for a file that holds none; OSError for a file that
    cannot be read.
    """
    candidates = (
        (TokenSource, as_text(token or "", "token"), "the argument token"),
        (_from_file, as_text(token_file or "", "token_file"), "token_file"),
        (TokenSource, environment.get("TRAINBRIDGE_TOKEN", ""), "TRAINBRIDGE_TOKEN"),
        (_from_file, environment.get("TRAINBRIDGE_TOKEN_FILE", ""), "TRAINBRIDGE_TOKEN_FILE"),
    )
    for make, text, source in candidates:
        if text.strip():
            return make(text, source)
    return TokenSource()


def hidden(text: str, token: str) -> str:
    """Return a text without a token."""
    return text.replace(token, HIDDEN) if len(token) >= SHORTEST_HIDDEN else text


def warn_of_plain_text(target: str, way_out: str) -> None:
    """Log that a token is sent where others can read it; once in a process for each target."""
    if target not in _WARNED and len(_WARNED) < MOST_WARNINGS:
        _WARNED.add(target)
        log.warning(
            "the token goes to %s in plain text, and whoever sees the traffic can use it; %s",
            target,
            way_out,
        )


def _from_file(text: str, source: str) -> TokenSource:
    # Absolute: a program may change its folder before the token is renewed.
    path = Path(text.strip()).expanduser().absolute()
    return TokenSource(token_from_file(str(path), source), source, path=path)

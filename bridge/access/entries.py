"""Reads what the entries of access files have in common: names, roles and prefixes of sessions."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from bridge.access.identity import Role, with_included
from bridge.errors import SettingError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/: -]{0,99}")

PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
"""What a session's name may begin with, short enough to leave room for the rest of it."""

Entry = Mapping[str, object]


def known_keys(content: Mapping[object, object] | Entry, known: Sequence[str], where: str) -> None:
    """Raise SettingError for a key that means nothing."""
    for key in content:
        if key in known:
            continue
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it may have {', '.join(known)}"
        raise SettingError(f"{where} has the unknown key {str(key)[:100]!r}: {hint}")


def listed(
    content: Mapping[object, object], key: str, where: str, *, limit: int
) -> Iterator[tuple[int, Entry]]:
    """Yield the entries of a list with their numbers, from 1; raises SettingError where it is not a list of entries."""
    rows = content.get(key) or []
    if not isinstance(rows, list):
        raise SettingError(
            f"{where}, whose {key} is not a list: begin each entry with `- name: ...`"
        )
    if len(rows) > limit:
        raise SettingError(
            f"{where}, whose {key} has more than {limit} entries: remove those that nobody uses"
        )
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise SettingError(
                f"{where}, whose entry {number} of {key} has no keys: begin it with `- name: ...`"
            )
        yield number, row


def name_in(row: Entry, where: str) -> str:
    """Return the name of an entry."""
    name = row.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SettingError(
            f"{where} has no name of letters, digits and ._@/:- (at most 100): say who it is for, such as grafana"
        )
    return name


def roles_in(row: Entry, where: str) -> frozenset[Role]:
    """Return the roles of an entry, with those that they include."""
    given = row.get("roles")
    names = given.replace(",", " ").split() if isinstance(given, str) else given
    if not isinstance(names, list) or not names or any(name not in tuple(Role) for name in names):
        raise SettingError(
            f"{where} has no usable roles: give a list of one or more of {', '.join(Role)}, such as [view]"
        )
    return with_included(Role(name) for name in names)


def sessions_in(row: Entry, where: str) -> str:
    """Return what the names of an entry's sessions begin with; "": it may see all of them."""
    prefix = row.get("sessions")
    if prefix in (None, ""):
        return ""
    if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix):
        raise SettingError(
            f"{where} has sessions that no session's name can begin with: give letters, digits and ._- (at most 48),"
            " with a separator at the end, such as team-a."
        )
    return prefix

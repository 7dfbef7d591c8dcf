"""What a run was configured with, as flat names and plain values."""

import json
import logging
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import islice
from types import SimpleNamespace
from typing import Any, TypeAlias

from bridge.client.capture.kinds import kind_of, type_name
from bridge.client.encoding.encoder import text
from bridge.client.encoding.isolation import fault_from
from bridge.client.left_out import LeftOut, Reason
from bridge.client.plain_values import ARRAYS, Plain, plain_value, short_text
from bridge.client.secret_names import is_secret
from bridge.client.token_source import hidden

log = logging.getLogger("trainbridge")

MAX_NAMES = 100
NAME_CHARACTERS = 256
JSON_CHARACTERS = 256 * 1024
"""A bridge keeps no more names, and no longer ones."""

MAX_VISITED = 1_000
"""How many values are looked at, with those that are left out."""

MAX_DEPTH = 16
"""What lies deeper is described by its type: it may contain itself."""

SHOWN_ITEMS = 32
"""Items of one list that are shown."""

ATOMS = (bool, int, float, str, type(None))

Members: TypeAlias = tuple[Iterable[Any], Callable[[Any], Any]]
"""The names of what is inside of a value, and what returns each."""


class TooManyNamesError(Exception):
    """There is no room for another name."""


def config_json(account: LeftOut, config: Any, token: str = "") -> str:
    """Return a configuration as a JSON object of flat names and plain values; "" for None.

    Takes dictionaries and other mappings, dataclasses, Namespaces, and objects of attrs and Pydantic, one
    inside of another. What cannot be used is left out, into `account`; so is what looks like a secret,
    or holds the `token` of the session.
    """
    values = RunValues(account, token).read(config)
    encoded: list[str] = []
    room = JSON_CHARACTERS
    for name, value in values.items():
        pair = json.dumps({name: value}, ensure_ascii=False)[1:-1]
        room -= len(pair) + 2
        if room < 0:
            error = ValueError(f"too long: only the first {len(encoded)} values are sent")
            account.add("config", Reason.UNREADABLE, error=error)
            break
        encoded.append(pair)
    return f"{{{', '.join(encoded)}}}" if encoded else ""


class RunValues:
    """The values of one configuration by their dotted names."""

    def __init__(self, account: LeftOut, token: str = "") -> None:
        """Count what is left out into `account`."""
        self._account = account
        self._token = token
        self._values: dict[str, Plain] = {}
        self._secrets: list[str] = []
        self._visited = 0

    def read(self, config: Any) -> dict[str, Plain]:
        """Return the plain values by name."""
        members = self._members(config)
        try:
            if members is not None:
                self._add_members("", members, 0)
        except TooManyNamesError:
            error = ValueError(f"more than {MAX_NAMES} names: only the first are sent")
            self._account.add("config", Reason.UNREADABLE, error=error)
        if self._secrets:
            self._account.record("config", Reason.SECRET, len(self._secrets))
            log.warning(
                "config: %s not sent, as %s a secret, which whoever can open the bridge's pages would see;"
                " rename it if it is none",
                ", ".join(self._secrets[:5]) + (" ..." if len(self._secrets) > 5 else ""),
                "each looks like" if len(self._secrets) > 1 else "it looks like",
            )
        return self._values

    def _members(self, config: Any) -> Members | None:
        if config is None:
            return None
        try:
            is_whole = isinstance(config, type) or kind_of(config) in ARRAYS
            members = None if is_whole else _named_members(config)
            if members is not None:
                return members
            error: Exception = ValueError(
                f"a {type_name(config)} is not a configuration; give a dictionary, a dataclass or a Namespace"
            )
        except BaseException as fault:  # noqa: BLE001 -- anything may be given
            error = fault_from(fault)
        self._account.add("config", Reason.UNREADABLE, error=error)
        return None

    def _add_members(self, prefix: str, members: Members, depth: int) -> None:
        names, value_of = members
        for name in names:
            self._visited += 1
            if self._visited > MAX_VISITED:
                raise TooManyNamesError
            label = name if isinstance(name, str) else f"{prefix}."
            try:
                label = _joined(prefix, name)
                value = value_of(name)
                inner = members_of(value) if depth < MAX_DEPTH else None
                plain = _plain(value) if inner is None else None
            except BaseException as error:  # noqa: BLE001 -- anything may be given
                fault = fault_from(error)
            else:
                self._add(label, plain, inner, depth)
                continue
            self._account.add(f"config[{text(label)[:64]!r}]", Reason.UNREADABLE, error=fault)

    def _add(self, name: str, plain: Plain, inner: Members | None, depth: int) -> None:
        if inner is not None:
            self._add_members(name, inner, depth + 1)
        elif is_secret(name, plain) or hidden(str(plain), self._token) != str(plain):
            self._secrets.append(name)
        elif name in self._values:
            error = ValueError("two values have this name; only the first is sent")
            self._account.add(f"config[{name[:64]!r}]", Reason.UNREADABLE, error=error)
        elif len(self._values) == MAX_NAMES:
            raise TooManyNamesError
        else:
            self._values[name] = plain


def members_of(value: Any) -> Members | None:
    """Return what a value has inside that has names, or numbers; None for one that is shown as a whole."""
    if isinstance(value, (*ATOMS, bytes, bytearray, memoryview, range, type, Enum)):
        return None
    if kind_of(value) in ARRAYS:
        return None
    members = _named_members(value)
    if members is not None:
        return members if len(members[0]) else None
    if isinstance(value, Sequence | AbstractSet) and not _are_atoms(value):
        items = list(islice(value, MAX_NAMES + 1))
        return range(len(items)), items.__getitem__
    return None


def _named_members(value: Any) -> tuple[Sequence[Any], Callable[[Any], Any]] | None:
    kind = type(value)
    if isinstance(value, Mapping) or (hasattr(kind, "keys") and hasattr(kind, "__getitem__")):
        return list(islice(value.keys(), MAX_VISITED + 1)), value.__getitem__
    if isinstance(value, Namespace | SimpleNamespace):
        return list(vars(value)), vars(value).__getitem__
    names: Sequence[str] | None = None
    if is_dataclass(value):
        names = [each.name for each in fields(value)]
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        names = kind._fields
    elif hasattr(kind, "__attrs_attrs__"):
        names = [each.name for each in kind.__attrs_attrs__]
    elif hasattr(kind, "__pydantic_fields__"):
        names = list(kind.__pydantic_fields__)
    return None if names is None else (names, lambda name: getattr(value, name))


def _are_atoms(items: Iterable[Any]) -> bool:
    return all(isinstance(item, ATOMS) for item in islice(items, SHOWN_ITEMS + 1))


def _plain(value: Any) -> Plain:
    """Return a value as it is sent; a list of plain values as one text, so that it stays one setting."""
    if isinstance(value, Mapping):
        return "{}" if not len(value) else type_name(value)
    if not isinstance(value, Sequence | AbstractSet) or isinstance(
        value, str | bytes | bytearray | range
    ):
        return plain_value(value)
    if not _are_atoms(value):
        return type_name(value)
    shown = [repr(plain_value(item)) for item in islice(value, SHOWN_ITEMS)]
    if isinstance(value, AbstractSet):
        shown.sort()
    if len(value) > SHOWN_ITEMS:
        shown.append(f"... {len(value)} in all")
    return short_text(f"[{', '.join(shown)}]")


def _joined(prefix: str, name: Any) -> str:
    part = name if isinstance(name, str) else str(plain_value(name))
    joined = text(f"{prefix}.{part}" if prefix else part)
    if not joined or len(joined) > NAME_CHARACTERS:
        raise ValueError(
            f"a name has 1 to {NAME_CHARACTERS} characters, and this one {len(joined)}"
        )
    return joined

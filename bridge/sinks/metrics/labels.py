"""Writes labels so that no value from a client can break the page."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from unicodedata import category

from bridge.model import Client

VALUE_LIMIT = 200
"""Characters of a label value."""

NAME_LIMIT = 64
"""Characters of a name that a client chose."""

SUFFIX_LENGTH = 11
"""Characters: a mark that no clean name has in this place, and ten hex digits."""

SEPARATORS = re.compile(r"[ .:/-]")
OWN_LABEL = re.compile(rf"label_[A-Za-z0-9_]{{1,{NAME_LIMIT}}}")

OWN_LABELS_LIMIT = 16
"""Labels that a client may give its session."""

LINE_SEPARATORS = (0x2028, 0x2029)
_CONTROLS = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(32), *range(127, 160), *LINE_SEPARATORS)
    if code != ord("\n")
}
"""A NUL byte ends the page for some parsers, and many characters end a line for others."""

_ESCAPES = {**_CONTROLS, ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"}


def quoted(value: str, limit: int = VALUE_LIMIT) -> str:
    """Return a value escaped for the quotes of a label, cut to `limit` characters."""
    valid = value[:limit].encode("utf-8", "replace").decode()
    return valid.translate(_ESCAPES)


def pair(name: str, value: str) -> str:
    """Return one label, with a comma before it."""
    return f',{name}="{quoted(value)}"'


def label_suffix(*pairs: tuple[str, str]) -> str:
    """Return what follows the session's own label in a sample, up to the value."""
    return "".join(pair(name, value) for name, value in pairs) + "} "


def metric_label(name: str, split: str = "") -> str:
    """Return the labels of a user-defined metric that follow the session's own; no two of them are the same."""
    is_short = len(name) <= NAME_LIMIT and len(split) <= NAME_LIMIT
    return _short_metric_label(name, split) if is_short else _metric_label(name, split)


@lru_cache(maxsize=4096)
def phase_label(name: str) -> str:
    """Return the labels of a phase that follow the session's own."""
    return label_suffix(("phase", name))


def clean_name(name: str) -> str:
    """Return a name that a client chose as the value of a label: no two names have the same.

    Letters and digits of any script and `_ . : / -` stay. A name with anything else, which a link or a
    query would have to escape, or with more than NAME_LIMIT characters, gets `_` for it and a suffix
    made from the whole name: the same on every bridge, and after a restart.
    """
    if 0 < len(name) <= NAME_LIMIT and all(map(_stays, name)):
        return name
    stem = "".join(c if _stays(c) else "_" for c in name[: NAME_LIMIT - SUFFIX_LENGTH])
    return f"{stem or '_'}~{_digest(name)}"


def own_labels(labels: Mapping[str, str]) -> tuple[str, int]:
    """Return the text of a client's own labels as label_*, and how many were left out.

    A blank and each of `. : / -` in a name becomes `_`. A name that then equals another one, or that has
    other characters replaced, gets a suffix made from the whole name.
    """
    plain = {name: "label_" + SEPARATORS.sub("_", name) for name in sorted(labels)}
    claimed: dict[str, list[str]] = {}
    for name, label in plain.items():
        claimed.setdefault(label, []).append(name)
    named = {
        label
        if OWN_LABEL.fullmatch(label) and (len(names) == 1 or label == f"label_{name}")
        else _suffixed(name): labels[name]
        for label, names in claimed.items()
        for name in names
    }
    kept = sorted(named.items())[:OWN_LABELS_LIMIT]
    return "".join(pair(name, value) for name, value in kept), len(labels) - len(kept)


def _suffixed(name: str) -> str:
    stem = re.sub(r"[^A-Za-z0-9_]", "_", name[: NAME_LIMIT - SUFFIX_LENGTH])
    return f"label_{stem}_{_digest(name)}"


def _stays(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in "_.:/-"
    return category(character)[0] in "LNM"


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[: SUFFIX_LENGTH - 1]


def _metric_label(name: str, split: str) -> str:
    named = ("name", clean_name(name))
    return label_suffix(named, ("split", clean_name(split))) if split else label_suffix(named)


_short_metric_label = lru_cache(maxsize=4096)(_metric_label)


def place_in_run(client: Client) -> Iterator[tuple[str, str]]:
    """Yield which of the processes of a run it is, as far as that is reported."""
    if client.run_id:
        yield "run_id", client.run_id
    if client.rank is not None:
        yield "rank", str(client.rank)
    if client.world_size:
        yield "world_size", str(client.world_size)

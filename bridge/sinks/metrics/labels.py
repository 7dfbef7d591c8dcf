"""Text of labels that no client can break a page with."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

VALUE_LIMIT = 200
"""Characters of a label value."""

NAME_LIMIT = 64
"""Characters of a name that a client made up."""

OWN_LABELS_LIMIT = 16
"""Labels a client may give its session."""

_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), 127) if code != ord("\n")}
"""A NUL byte ends the page for some parsers."""

_ESCAPES = {**_CONTROLS, ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"}


def quoted(value: str, limit: int = VALUE_LIMIT) -> str:
    """Return a value as it stands between the quotes of a label, cut to `limit` characters."""
    valid = value[:limit].encode("utf-8", "replace").decode()
    return valid.translate(_ESCAPES)


def pair(name: str, value: str) -> str:
    """Return one label with a comma before it."""
    return f',{name}="{quoted(value)}"'


def closed(*pairs: tuple[str, str]) -> str:
    """Return what follows the session's own label in a sample, up to the value."""
    return "".join(pair(name, value) for name, value in pairs) + "} "


@lru_cache(maxsize=4096)
def metric_label(name: str) -> str:
    """Return what follows the session's own label for a number of the user's own.

    Its name gets nothing in it that a link or a query would have to escape. Give at most NAME_LIMIT
    characters, or the cache holds more.
    """
    return closed(("name", re.sub(r"[^A-Za-z0-9_.:/-]", "_", name) or "_"))


def own_labels(labels: Mapping[str, str]) -> tuple[str, int]:
    """Return the text of a client's own labels as label_*, and how many were left out.

    Names that become the same are one label: the first by name stands.
    """
    pairs = dict(_named(sorted(labels.items(), reverse=True)))
    kept = sorted(pairs.items())[:OWN_LABELS_LIMIT]
    return "".join(pair(name, value) for name, value in kept), len(labels) - len(kept)


def _named(labels: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in labels:
        yield "label_" + re.sub(r"[^A-Za-z0-9_]", "_", name[:NAME_LIMIT]), value

"""As much of GJSON as the boards use to say where the rows of an answer are."""

import re
from typing import Any

WHERE = re.compile(r"#\((?P<name>\w+)==(?P<value>\w+)\)#")

WORDS = {"true": True, "false": False}


def rows(answer: Any, selector: str) -> list[Any]:
    """Return what a selector means of an answer; raises KeyError for a name that is not there.

    `a.b` goes down, `#` takes each, `#(name==value)#` those which have that value, `|@flatten` joins lists of lists.
    """
    path, *changes = selector.split("|")
    found = _at(answer, path.split("."))
    for change in changes:
        assert change == "@flatten", change
        found = [one for each in found for one in each]
    return found


def field(row: Any, selector: str) -> Any:
    """Return a field of a row, None where something above it is null; raises KeyError for a name that is not there."""
    for name in selector.split("."):
        if row is None:
            return None
        row = row[name]
    return row


def _at(value: Any, path: list[str]) -> Any:
    if not path:
        return value
    name, *further = path
    if name == "#":
        return [_at(one, further) for one in value]
    if where := WHERE.fullmatch(name):
        wanted = WORDS[where["value"]]
        return [_at(one, further) for one in value if one[where["name"]] == wanted]
    return _at(value[name], further)

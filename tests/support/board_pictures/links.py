"""Data links of values, expanded as Grafana does on a click."""

from collections.abc import Mapping
from typing import Any

from support.board_pictures.frames import Field, Frame
from support.board_pictures.variables import Scope

Json = dict[str, Any]


def link_of(scope: Scope, frame: Frame, one: Field, row: int) -> str:
    """Return where the first link of a value leads; "" where it has none, or there is no value."""
    links = one.config.get("links") or []
    if not links or one.values[row] in (None, ""):
        return ""
    return scope.text(links[0]["url"], _macros(frame, one, row)).replace("\n", "")


def _macros(frame: Frame, one: Field, row: int) -> Mapping[str, str]:
    times = frame.of_kind("time")
    values = {f"__field.labels.{name}": value for name, value in one.labels.items()}
    at = f"{times[0].values[row] * 1000:.0f}" if times else ""
    raw = one.values[row]
    values |= {
        "__value.time": at,
        "__value.raw": str(raw),
        "__value.text": str(raw),
        "__value.numeric": str(raw),
        "__field.name": one.title,
    }
    for place, other in enumerate(frame.fields):
        text = "" if other.values[row] is None else str(other.values[row])
        values |= {
            f"__data.fields.{other.title}": text,
            f'__data.fields["{other.title}"]': text,
            f"__data.fields[{place}]": text,
        }
    return values

"""Panels that stand once for each value of a variable, side by side, as Grafana repeats them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

Json = dict[str, Any]

COLUMNS = 24

ValuesOf = Callable[[str], Sequence[str]]
"""Returns the chosen values of a variable."""


def repeated(panels: Sequence[Json], values_of: ValuesOf) -> list[Json]:
    """Return panels with a copy for each value instead of those that repeat; what is below them moves down.

    Each copy has its value in `scopedVars`. What repeats for no value at all stays as it is.
    """
    found: list[Json] = []
    moved = 0
    for panel in panels:
        place = panel["gridPos"]
        lower = {**panel, "gridPos": {**place, "y": place["y"] + moved}}
        if panel.get("panels"):
            lower["panels"] = repeated(panel["panels"], values_of)
        copies = list(_copies(lower, values_of)) or [lower]
        moved += copies[-1]["gridPos"]["y"] - lower["gridPos"]["y"]
        found += copies
    return found


def _copies(panel: Json, values_of: ValuesOf) -> Iterator[Json]:
    name = panel.get("repeat")
    values = values_of(name) if name else ()
    columns = min(len(values), panel.get("maxPerRow", 4))
    for number, value in enumerate(values):
        row, column = divmod(number, columns)
        width, height = COLUMNS // columns, panel["gridPos"]["h"]
        place = {
            "x": column * width,
            "y": panel["gridPos"]["y"] + row * height,
            "w": width,
            "h": height,
        }
        yield {**panel, "gridPos": place, "scopedVars": {name: value}}

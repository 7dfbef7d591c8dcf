"""Answers of Prometheus as Grafana holds them: frames of fields, of equal lengths."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Field:
    """A column: its values, and what the answer says of them."""

    name: str
    values: list[Any]
    kind: str = "number"
    """number, string or time; times are seconds since 1970."""
    labels: Mapping[str, str] = field(default_factory=dict)
    shown_name: str = ""
    """What it is called on the board, where that is not its name."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What the panel says about it, once that has been looked up."""

    @property
    def title(self) -> str:
        """What the reader sees."""
        return str(self.config.get("displayName") or self.shown_name or self.name)

    def numbers(self) -> list[float]:
        """Return those values that are numbers."""
        return [v for v in self.values if isinstance(v, int | float) and math.isfinite(v)]


@dataclass(frozen=True)
class Frame:
    """A table, or one series with its times."""

    fields: tuple[Field, ...]
    ref: str = "A"

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.fields[0].values) if self.fields else 0

    def named(self, name: str) -> Field | None:
        """Return the field of a name."""
        return next((one for one in self.fields if name in (one.name, one.title)), None)

    def of_kind(self, *kinds: str) -> list[Field]:
        """Return the fields of some kinds."""
        return [one for one in self.fields if one.kind in kinds]

    def with_fields(self, *fields: Field) -> "Frame":
        """Return it with other fields."""
        return replace(self, fields=tuple(fields))


def legend_of(template: str, labels: Mapping[str, str], expr: str, label_names: set[str]) -> str:
    """Return the name of a series; `label_names`: of all series of the panel, for one that says nothing itself."""
    if template and template != "__auto":
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda m: labels.get(m[1], m[0]), template)
    bare = {name: value for name, value in labels.items() if name != "__name__"}
    if len(label_names) == 1 and bare:
        return next(iter(bare.values()))
    listed = ", ".join(f'{name}="{value}"' for name, value in sorted(bare.items()))
    return f"{labels.get('__name__', '')}{{{listed}}}" if listed else expr


def series_frame(ref: str, legend: str, labels: Mapping[str, str], points: Sequence) -> Frame:
    """Return a series: its times and its values."""
    times = Field("Time", [float(at) for at, _ in points], "time")
    values = Field("Value", [number(v) for _, v in points], labels=labels, shown_name=legend)
    return Frame((times, values), ref)


def table_frame(ref: str, value_name: str, answers: Sequence[tuple[Mapping, Sequence]]) -> Frame:
    """Return all series of a query as one table: time, labels in the order of the alphabet, value."""
    names: list[str] = []
    for labels, _ in answers:
        names += [name for name in sorted(labels) if name not in names]
    rows = [(labels, at, value) for labels, points in answers for at, value in points]
    return Frame(
        (
            Field("Time", [float(at) for _, at, _ in rows], "time"),
            *(Field(n, [labels.get(n, "") for labels, _, _ in rows], "string") for n in names),
            Field(value_name, [number(value) for _, _, value in rows]),
        ),
        ref,
    )


def number(text: str) -> float:
    """Return a value as Prometheus writes it."""
    return float(text.replace("Inf", "inf"))

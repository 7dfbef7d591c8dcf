"""Grafana's transformations, as far as the boards use them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from support.board_pictures.frames import Field, Frame

Options = Mapping[str, Any]
Frames = Sequence[Frame]


def transformed(frames: Frames, transformations: Sequence[Mapping[str, Any]]) -> Frames:
    """Return frames after all transformations; raises ValueError for one that this does not know."""
    for one in transformations:
        if one.get("disabled"):
            continue
        if one["id"] not in KNOWN:
            raise ValueError(f"transformation {one['id']!r} has no case in transformations.py")
        frames = KNOWN[one["id"]](frames, one.get("options", {}))
    return frames


def _join(frames: Frames, options: Options) -> Frames:
    """One row for each value of the field that they have in common; a name that is there already gets a number."""
    by = options["byField"]
    joined = [frame for frame in frames if frame.named(by)]
    keys: dict[Any, None] = {}
    for frame in joined:
        keys |= dict.fromkeys(frame.named(by).values)
    if options.get("mode") == "inner":
        keys = {k: None for k in keys if all(k in frame.named(by).values for frame in joined)}
    fields, seen = [replace(joined[0].named(by), values=list(keys))] if joined else [], {}
    for frame in joined:
        row_of = {key: row for row, key in enumerate(frame.named(by).values)}
        for one in frame.fields:
            if one.name == by:
                continue
            seen[one.name] = seen.get(one.name, 0) + 1
            name = one.name if seen[one.name] == 1 else f"{one.name} {seen[one.name]}"
            values = [one.values[row_of[key]] if key in row_of else None for key in keys]
            fields.append(replace(one, name=name, values=values))
    return [Frame(tuple(fields))]


def _filter(frames: Frames, options: Options) -> Frames:
    include, exclude = options.get("include"), options.get("exclude")

    def is_kept(one: Field) -> bool:
        kept = not include or _is_among(one, include)
        return kept and not (exclude and _is_among(one, exclude))

    return [frame.with_fields(*filter(is_kept, frame.fields)) for frame in frames]


def _is_among(one: Field, chosen: Options) -> bool:
    pattern = str(chosen.get("pattern") or "").strip("/")
    return one.title in chosen.get("names", ()) or bool(pattern and re.search(pattern, one.title))


def _organize(frames: Frames, options: Options) -> Frames:
    excluded = {name for name, is_out in options.get("excludeByName", {}).items() if is_out}
    places, names = options.get("indexByName", {}), options.get("renameByName", {})

    def organized(frame: Frame) -> Frame:
        kept = [one for one in frame.fields if one.title not in excluded]
        kept.sort(key=lambda one: places.get(one.title, len(places)))
        return frame.with_fields(
            *(replace(one, shown_name=names.get(one.title) or one.title) for one in kept)
        )

    return [organized(frame) for frame in frames]


def _matrix(frames: Frames, options: Options) -> Frames:
    if len(frames) != 1:
        return frames
    [frame] = frames
    column, row = (frame.named(options[f"{what}Field"]) for what in ("column", "row"))
    value = frame.named(options.get("valueField", "Value"))
    if not column or not row or not value:
        return frames
    columns, rows = dict.fromkeys(column.values), dict.fromkeys(row.values)
    cells = dict(zip(zip(row.values, column.values, strict=True), value.values, strict=True))
    empty = {"null": None, "zero": 0}.get(options.get("emptyValue", ""), "")
    corner = f"{options['rowField']}\\{options['columnField']}"
    return [
        Frame(
            (
                Field(corner, list(rows), "string"),
                *(Field(str(c), [cells.get((r, c), empty) for r in rows]) for c in columns),
            )
        )
    ]


def _sort(frames: Frames, options: Options) -> Frames:
    [by] = options["sort"][:1]

    def in_order(frame: Frame) -> Frame:
        key = frame.named(by["field"])
        if key is None:
            return frame
        rows = sorted(
            range(len(frame)),
            key=lambda row: (key.values[row] is None, key.values[row]),
            reverse=bool(by.get("desc")),
        )
        return frame.with_fields(
            *(replace(one, values=[one.values[row] for row in rows]) for one in frame.fields)
        )

    return [in_order(frame) for frame in frames]


def _limit(frames: Frames, options: Options) -> Frames:
    count = int(options.get("limitField", 10))
    return [f.with_fields(*(replace(o, values=o.values[:count]) for o in f.fields)) for f in frames]


def _merge(frames: Frames, _options: Options) -> Frames:
    """Rows that agree in every field that all frames have become one."""
    if not frames:
        return frames
    names: dict[str, Field] = {}
    rows: dict[tuple, dict[str, Any]] = {}
    common = set.intersection(*({one.name for one in frame.fields} for frame in frames))
    for frame in frames:
        names |= {one.name: one for one in frame.fields if one.name not in names}
        for place in range(len(frame)):
            row = {one.name: one.values[place] for one in frame.fields}
            rows.setdefault(tuple(row[name] for name in sorted(common)), {}).update(row)
    merged = (
        replace(one, values=[row.get(n) for row in rows.values()]) for n, one in names.items()
    )
    return [Frame(tuple(merged))]


def _convert(frames: Frames, options: Options) -> Frames:
    kinds = {one["targetField"]: one["destinationType"] for one in options["conversions"]}

    def converted(one: Field) -> Field:
        kind = kinds.get(one.title, one.kind)
        if kind != "number":
            return replace(one, kind=kind)
        return replace(
            one, kind=kind, values=[v if v in (None, "") else float(v) for v in one.values]
        )

    return [frame.with_fields(*map(converted, frame.fields)) for frame in frames]


def _series_to_rows(frames: Frames, _options: Options) -> Frames:
    times, metrics, values = [], [], []
    for frame in frames:
        [time] = frame.of_kind("time")
        for one in frame.of_kind("number"):
            times += time.values
            metrics += [one.title] * len(one.values)
            values += one.values
    return [
        Frame(
            (
                Field("Time", times, "time"),
                Field("Metric", metrics, "string"),
                Field("Value", values),
            )
        )
    ]


def _regex_names(frames: Frames, options: Options) -> Frames:
    pattern = options["regex"].strip("/")
    replacement = re.sub(r"\$(\d)", r"\\\1", options["renamePattern"])
    return [
        f.with_fields(
            *(
                replace(o, shown_name=re.sub(pattern, replacement, o.title, count=1))
                for o in f.fields
            )
        )
        for f in frames
    ]


KNOWN: Mapping[str, Callable[[Frames, Options], Frames]] = {
    "joinByField": _join,
    "filterFieldsByName": _filter,
    "organize": _organize,
    "groupingToMatrix": _matrix,
    "sortBy": _sort,
    "limit": _limit,
    "merge": _merge,
    "convertFieldType": _convert,
    "seriesToRows": _series_to_rows,
    "renameByRegex": _regex_names,
}

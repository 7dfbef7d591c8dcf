"""What a panel says of each of its fields, and how a value is shown by that."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from support.board_pictures import colors
from support.board_pictures.frames import Field, Frame
from support.board_pictures.units import fixed, written

Json = dict[str, Any]


class Shown(NamedTuple):
    """A value as a reader sees it."""

    text: str
    color: str


def configured(frames: Sequence[Frame], field_config: Json) -> list[Frame]:
    """Return frames whose fields have what the panel says of them: the defaults, and the overrides that match."""
    defaults, overrides = field_config.get("defaults", {}), field_config.get("overrides", [])
    places = iter(range(1000))
    range_of_all = bounds([one for frame in frames for one in frame.of_kind("number")])

    def with_config(one: Field, frame: Frame) -> Field:
        config = {**defaults, "custom": dict(defaults.get("custom", {})), "all": range_of_all}
        for override in overrides:
            if _matches(one, frame, override["matcher"]):
                _apply(config, override["properties"])
        if one.kind == "number":
            config["place"] = next(places)
        return replace(one, config=config)

    return [frame.with_fields(*(with_config(o, frame) for o in frame.fields)) for frame in frames]


def _matches(one: Field, frame: Frame, matcher: Json) -> bool:
    options = matcher.get("options")
    match matcher["id"]:
        case "byName":
            return options in (one.title, one.name)
        case "byRegexp":
            return bool(re.search(str(options).strip("/"), one.title))
        case "byType":
            return one.kind == options
        case "byFrameRefID":
            return frame.ref == options and one.kind != "time"
    raise ValueError(f"matcher {matcher['id']!r} has no case in fields.py")


def _apply(config: Json, properties: Sequence[Json]) -> None:
    for one in properties:
        name, value = one["id"], one.get("value")
        if name.startswith("custom."):
            config["custom"][name.removeprefix("custom.")] = value
        else:
            config[name] = value


def shown(one: Field, value: Any, *, decimals: int | None = None) -> Shown:
    """Return a value of a field as text and colour: by its mappings, else by its unit and its colour mode."""
    config = one.config
    if value is None or value == "":
        return Shown(str(config.get("noValue") or ""), colors.TEXT)
    if mapped := _mapped(config.get("mappings", ()), value):
        own = mapped.get("color")
        return Shown(
            str(mapped.get("text") or _plain(one, value, decimals)),
            colors.color(own) if own else color_of(one, value),
        )
    return Shown(_plain(one, value, decimals), color_of(one, value))


def _plain(one: Field, value: Any, decimals: int | None) -> str:
    if one.kind == "time":
        return written(value * 1000, "dateTimeAsIso")
    if isinstance(value, str):
        return value
    wanted = one.config.get("decimals", decimals)
    return written(value, one.config.get("unit") or "none", wanted)


def _mapped(mappings: Sequence[Json], value: Any) -> Json | None:
    text = value if isinstance(value, str) else fixed(value) if math.isfinite(value) else str(value)
    for mapping in mappings:
        options = mapping["options"]
        if mapping["type"] == "value" and text in options:
            return options[text]
        if mapping["type"] == "range" and not isinstance(value, str):
            low, high = options.get("from"), options.get("to")
            if (low is None or value >= low) and (high is None or value <= high):
                return options["result"]
        if mapping["type"] == "regex" and re.search(options["pattern"].strip("/"), text):
            return options["result"]
        if mapping["type"] == "special" and _is_special(options["match"], value):
            return options["result"]
    return None


def _is_special(match: str, value: Any) -> bool:
    is_nan = isinstance(value, float) and math.isnan(value)
    return is_nan if match in ("nan", "null+nan") else value is None


def color_of(one: Field, value: Any = None) -> str:
    """Return the colour of a field, for one of its values or, without, for all of it."""
    config = one.config
    mode = config.get("color", {}).get("mode", "thresholds")
    if mode == "fixed":
        return colors.color(config["color"].get("fixedColor", "text"))
    if mode in ("palette-classic", "palette-classic-by-name"):
        return colors.of_series(config.get("place", 0))
    share = share_of(one, value)
    if mode.startswith("continuous"):
        return colors.between(colors.SCALES[mode], share or 0)
    steps = config.get("thresholds", {}).get("steps", ())
    is_percentage = config.get("thresholds", {}).get("mode") == "percentage"
    number = value if isinstance(value, int | float) and not math.isnan(value) else None
    return colors.at_threshold(steps, number, share if is_percentage else None)


def share_of(one: Field, value: Any) -> float | None:
    """Return where a value lies, 0 to 1, between the ends that the panel sets, else those of all its fields."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    low, high = (
        set_by_panel if (set_by_panel := one.config.get(name)) is not None else of_all
        for name, of_all in zip(("min", "max"), one.config.get("all") or bounds([one]), strict=True)
    )
    return (value - low) / (high - low) if high > low else 0.0


def bounds(fields: Sequence[Field]) -> tuple[float, float]:
    """Return the lowest and the highest value: as the panel sets them, else as the data have them."""
    numbers = [number for one in fields for number in one.numbers()]
    lows = [one.config["min"] for one in fields if one.config.get("min") is not None]
    highs = [one.config["max"] for one in fields if one.config.get("max") is not None]
    return (
        min(lows) if lows else min(numbers, default=0),
        max(highs) if highs else max(numbers, default=1),
    )


class Calculation(NamedTuple):
    """One value for many."""

    title: str
    """What a legend calls it."""
    of: Callable[[Sequence[float]], float]


CALCULATIONS: Mapping[str, Calculation] = {
    "lastNotNull": Calculation("Last *", lambda numbers: numbers[-1]),
    "last": Calculation("Last", lambda numbers: numbers[-1]),
    "firstNotNull": Calculation("First *", lambda numbers: numbers[0]),
    "first": Calculation("First", lambda numbers: numbers[0]),
    "min": Calculation("Min", min),
    "max": Calculation("Max", max),
    "mean": Calculation("Mean", lambda numbers: sum(numbers) / len(numbers)),
    "sum": Calculation("Total", sum),
    "range": Calculation("Range", lambda numbers: max(numbers) - min(numbers)),
    "count": Calculation("Count", len),
}


def reduced(one: Field, calculation: str) -> Any:
    """Return one value for all of a field's; None where it has none."""
    if one.kind == "string":
        return next((value for value in reversed(one.values) if value), None)
    numbers = [v for v in one.values if isinstance(v, int | float) and not math.isnan(v)]
    if not numbers:
        return one.values[-1] if one.values and calculation.startswith("last") else None
    return CALCULATIONS[calculation].of(numbers)


def tick_text(one: Field, ticks: Sequence[float]) -> Callable[[float], str]:
    """Return what writes the values at an axis, with as many decimals as tell one from the next."""
    unit = one.config.get("unit") or "none"
    gaps = {round(b - a, 12) for a, b in pairwise(ticks)}
    is_plain = unit in ("none", "percentunit", "percent") or unit.startswith("suffix:")
    is_plain = is_plain or (unit == "short" and max(map(abs, ticks), default=0) < 1000)
    decimals = None
    if len(gaps) == 1 and is_plain:
        [gap] = gaps
        gap *= 100 if unit == "percentunit" else 1
        decimals = next((n for n in range(6) if abs(gap - round(gap, n)) < gap / 1000), 6)
    return lambda value: written(value, unit, decimals)

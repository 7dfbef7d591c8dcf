"""Sorts what a script logs in one call: numbers, pictures, distributions, and what is left out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.client.capture.kinds import Kind, kind_of, type_name
from bridge.client.compat.wandb.media import Histogram, Image, NotShown

DEPTH = 8
"""Dictionaries inside of each other; what lies deeper is left out."""

OVERLAY = "pictures are shown as they are; draw it into them, or log numbers by name"


@dataclass
class Logged:
    """What one call logs."""

    numbers: dict[str, Any] = field(default_factory=dict)
    pictures: list[Any] = field(default_factory=list)
    distributions: dict[str, Mapping[str, float]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """What, and why with what to do instead."""
    faults: list[tuple[str, Exception]] = field(default_factory=list)
    """What could not be read."""


def logged(data: Mapping[str, Any]) -> Logged:
    """Return what a dictionary holds; names in dictionaries inside of it are joined by slashes."""
    found = Logged()
    for name, value in _flat(data, "", 0):
        _sort(found, name, value)
    return found


def _flat(data: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        path = f"{prefix}/{name}" if prefix else str(name)
        if isinstance(value, Mapping) and depth < DEPTH:
            yield from _flat(value, path, depth + 1)
        else:
            yield path, value


def _sort(found: Logged, name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, Image):
        _add_picture(found, value)
    elif isinstance(value, Histogram):
        _add_distribution(found, name, value)
    elif isinstance(value, NotShown):
        found.left_out.append((type_name(value), value.why))
    elif hasattr(value, "savefig") or kind_of(value) is Kind.PICTURE:
        _add_picture(found, Image(value))
    elif isinstance(value, list | tuple) and value and all(isinstance(v, Image) for v in value):
        for picture in value:
            _add_picture(found, picture)
    elif _is_number(value):
        found.numbers[name] = value
    else:
        found.left_out.append(_unknown(value))


def _add_picture(found: Logged, image: Image) -> None:
    if image.error is not None:
        found.faults.append(("images", image.error))
        return
    found.pictures.append(image.picture)
    found.left_out += [(what, OVERLAY) for what in image.left_out]


def _add_distribution(found: Logged, name: str, histogram: Histogram) -> None:
    if histogram.error is not None:
        found.faults.append(("histograms", histogram.error))
    else:
        found.distributions[name] = histogram.quantiles


def _is_number(value: Any) -> bool:
    kind = kind_of(value)
    if kind is Kind.CONSTANT:
        return not isinstance(value, str)
    if kind in (Kind.NUMPY, Kind.TORCH, Kind.FROZEN_ARRAY, Kind.ARRAY):
        return all(side == 1 for side in getattr(value, "shape", ()))
    return False


def _unknown(value: Any) -> tuple[str, str]:
    if isinstance(value, str):
        return (
            "texts",
            "a text of a step: report it once as an event, run.session.event(name, text)",
        )
    if kind_of(value) in (Kind.NUMPY, Kind.TORCH, Kind.FROZEN_ARRAY, Kind.ARRAY, Kind.SEQUENCE):
        return (
            "arrays",
            "more than one number: log wandb.Histogram or wandb.Image of it, or its mean",
        )
    return type_name(value), "it is not a number: log numbers of it by name"

"""Any value as one that JSON and a page can show: never more of it than that takes."""

import os
from enum import Enum
from math import isfinite
from types import BuiltinFunctionType, FunctionType
from typing import Any, TypeAlias

from bridge.client.capture.kinds import Kind, kind_of, type_name
from bridge.client.encoding.encoder import text

Plain: TypeAlias = str | int | float | bool | None

TEXT_CHARACTERS = 1_024
INTEGERS = range(-(1 << 63), 1 << 63)
"""What every store of a bridge can hold as a number."""

ARRAYS = (Kind.NUMPY, Kind.TORCH, Kind.FROZEN_ARRAY, Kind.ARRAY)


def plain_value(value: Any) -> Plain:
    """Return a value as a plain one; what has no short text is described by its type.

    Arrays and tensors are described by shape, unless they hold one number in host memory: nothing waits
    for a device. NaN, infinities and integers beyond 64 bits become text. Raises whatever the value's own
    `__str__` raises.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return short_text(value.value if isinstance(value.value, str) else value.name)
    if isinstance(value, int | float):
        return _of_number(value)
    if kind_of(value) in ARRAYS or hasattr(value, "dtype"):
        return _of_array(value)
    return short_text(_text_of(value))


def _of_number(value: float) -> Plain:
    if isinstance(value, float):
        return float(value) if isfinite(value) else str(float(value))
    return int(value) if value in INTEGERS else f"an integer of {value.bit_length()} bits"


def short_text(value: str) -> str:
    """Return a text as it can be sent, and no longer than a page shows."""
    sent = text(value)
    return sent if len(sent) <= TEXT_CHARACTERS else sent[: TEXT_CHARACTERS - 3] + "..."


def _of_array(array: Any) -> Plain:
    shape = getattr(array, "shape", None)
    if shape is None or not hasattr(array, "item"):
        return type_name(array)
    size = 1
    for side in shape:
        size *= int(side)
    device = getattr(getattr(array, "device", None), "type", "cpu")
    if size == 1 and device == "cpu" and not getattr(array, "is_meta", False):
        element = array.item()
        return str(element) if hasattr(element, "dtype") else plain_value(element)
    return f"{type_name(array)} of shape {tuple(shape)}"


def _text_of(value: Any) -> str:
    """Return the text of a value, or the name of its type where that says more than where in memory it lies."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    shown = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    return type_name(value) if " at 0x" in shown else str(shown)

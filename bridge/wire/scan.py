"""Looks into encoded messages without building them: two bytes may stand for an object of a hundred.

Only wire types are read (protobuf.dev, "Encoding"). Every field counts, wherever it stands, and every number
of a packed one; what is inside a message that can only hold single values does not.
"""

from collections.abc import Mapping
from typing import Any, Union

from bridge.wire import metrics_pb2 as wire
from bridge.wire.framing import END_GROUP, START_GROUP, read_content, read_varint

PACKED = "packed"
"""Stands for a field that may hold many numbers in one."""

Shape = Mapping[int, Union["Shape", str]]
"""By number, the fields of a message that are looked into."""

CONTINUED = bytes(range(0x80, 0x100))
"""Bytes of a varint that are not its last one."""

IN_GROUP: Shape = {}
"""The shape of a group, which no message of the protocol has: a parser skips what is in it."""


def shape_of(descriptor: Any) -> Shape:
    """Return the shape of a message; none is looked into that can only hold single values."""
    shape: dict[int, Shape | str] = {}
    for field in descriptor.fields:
        if field.type == field.TYPE_MESSAGE:
            inner = shape_of(field.message_type)
            if inner or _has_many(field.message_type):
                shape[field.number] = inner
        elif field.is_repeated and field.is_packed:
            shape[field.number] = PACKED
    return shape


def _has_many(descriptor: Any) -> bool:
    return any(field.is_repeated or field.type == field.TYPE_MESSAGE for field in descriptor.fields)


FRAME = shape_of(wire.MetricsRequestBatch.DESCRIPTOR)
REQUEST = shape_of(wire.MetricsRequest.DESCRIPTOR)
SESSION_INFO = shape_of(wire.SessionInfo.DESCRIPTOR)


def has_more(raw: bytes, shape: Shape, limit: int) -> bool:
    """Return whether a message holds more than `limit` values; where it breaks off, the parser finds out."""
    # A value takes a byte at least, so small messages cost nothing here.
    return len(raw) > limit and count_values(raw, shape, limit) > limit


def count_values(raw: bytes, shape: Shape, limit: int) -> int:
    """Return how many values a message holds; it stops counting soon after `limit`."""
    count = position = 0
    outer: list[tuple[int, Shape]] = []
    end = len(raw)
    while count <= limit:
        while position >= end:
            if not outer:
                return count
            end, shape = outer.pop()
        count += 1
        tag, position = read_varint(raw, position)
        if tag is None:
            return count
        wire_type = tag & 7
        if wire_type == START_GROUP:
            outer.append((end, shape))
            shape = IN_GROUP
            continue
        if wire_type == END_GROUP and shape is IN_GROUP:
            _, shape = outer.pop()
            continue
        length, position = read_content(raw, position, wire_type)
        if length is None or position + length > end:
            return count
        inner = shape.get(tag >> 3) if wire_type == 2 else None
        if isinstance(inner, str):
            count += len(raw[position : position + length].translate(None, CONTINUED))
        elif inner is not None:
            outer.append((end, shape))
            end, shape = position + length, inner
            continue
        position += length
    return count


def without_payload(raw: bytes, limit: int = 64) -> bytes:
    """Return the first fields of an encoded MetricsRequest that say whose it is: its session and its sequence."""
    kept: list[bytes] = []
    position = 0
    for _ in range(limit):
        start = position
        tag, position = read_varint(raw, position)
        if tag is None:
            break
        length, position = read_content(raw, position, tag & 7)
        if length is None or position + length > len(raw):
            break
        position += length
        if tag in IDENTITY_TAGS:
            kept.append(raw[start:position])
    return b"".join(kept)


IDENTITY_TAGS = (1 << 3 | 2, 18 << 3 | 0)
"""Of MetricsRequest.session_id and .sequence."""

"""Frames of encoded messages, joined and split by hand, so that no message is encoded or decoded twice.

A MetricsRequestBatch is a row of requests, each one (tag 0x0A, length as a varint, bytes): field 1,
length-delimited (protobuf.dev, "Encoding").
"""

from collections.abc import Iterable, Iterator

from bridge.wire import metrics_pb2 as wire

REQUEST_TAG = 0x0A
"""Of MetricsRequestBatch.requests: field 1, length-delimited."""

START_GROUP, END_GROUP = 3, 4
"""Wire types of the tags around a group: no message of the protocol has any."""

VARINT_BYTES = 10
"""What a varint takes at most."""

FIXED_SIZES = {1: 8, 5: 4}
"""By wire type, the bytes that follow a tag."""


def session_prefix(session_id: str) -> bytes:
    """Return the bytes that make an encoded message one of this session when they precede it.

    Encoded messages may be joined: protobuf reads the fields of both (protobuf.dev, "Last One Wins").
    """
    return wire.MetricsRequest(session_id=session_id).SerializeToString()


def join_frame(prefix: bytes, bodies: Iterable[bytes]) -> bytes:
    """Return the MetricsRequestBatch of encoded messages, each behind the prefix, without decoding them."""
    parts: list[bytes] = []
    for body in bodies:
        parts += (b"\x0a", _encode_varint(len(prefix) + len(body)), prefix, body)
    return b"".join(parts)


def split_frame(raw: bytes) -> Iterator[bytes | None]:
    """Yield the requests of a frame undecoded, and None where the frame itself breaks off."""
    position = 0
    while position < len(raw):
        length, start = read_varint(raw, position + 1)
        if raw[position] != REQUEST_TAG or length is None or start + length > len(raw):
            yield None
            return
        yield raw[start : start + length]
        position = start + length


def end_of_requests(raw: bytes, limit: int) -> int | None:
    """Return where the first `limit` requests of a frame end, or its length where there are no more.

    Returns None for a frame with a group, or with more fields than that which are not requests. Where the
    frame breaks off, its length is returned too.
    """
    size = len(raw)
    if size <= 2 * limit:  # a request takes two bytes at least
        return size
    position = others = requests = 0
    while position < size:
        if raw[position] == REQUEST_TAG:
            if requests == limit:
                return position
            requests += 1
            length, position = read_varint(raw, position + 1)
        else:
            others += 1
            tag, position = read_varint(raw, position)
            if others > limit or (tag is not None and tag & 7 == START_GROUP):
                return None
            length, position = read_content(raw, position, -1 if tag is None else tag & 7)
        if length is None:
            return size
        position += length
    return size


def read_content(raw: bytes, position: int, wire_type: int) -> tuple[int | None, int]:
    """Return how long the content of a field is, and where it begins; None where it cannot be told."""
    if wire_type == 2:
        return read_varint(raw, position)
    if wire_type == 0:
        for end in range(position, min(position + VARINT_BYTES, len(raw))):
            if raw[end] < 0x80:
                return 0, end + 1
        return None, position
    return FIXED_SIZES.get(wire_type), position


def read_varint(raw: bytes, position: int) -> tuple[int | None, int]:
    """Return a varint of at most 35 bits, and where it ends; None where it breaks off or is longer."""
    value = 0
    for shift in range(0, 35, 7):
        if position >= len(raw):
            return None, position
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    return None, position


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)

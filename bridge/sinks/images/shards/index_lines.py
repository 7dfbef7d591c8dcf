"""Read the index of a shard, checking each line by itself."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.sinks.images.shards.layout import BLOCK
from bridge.sinks.images.shards.open_shard import finite
from bridge.storage.image_counts import MILLISECONDS, is_in
from bridge.storage.shard_keys import attempt_in
from bridge.storage.shards import ShardBatch, ShardImage

NAME = re.compile(r"(\d{6,10}-\d{8,10})-\d{2,10}(-r\d+)?\.jpg")
"""Epoch and batch, image, and how often the batch had come before."""

SMALLEST_MEMBERS = 4 * BLOCK
"""Bytes that an image takes in a shard at least: a header and a block, for itself and for its JSON."""

ATTEMPTS = range(1, 10**9)
UINT32 = range(2**32)
INT32 = range(-(2**31), 2**31)
CLASSES = range(10_000)
"""As many as a registration may name."""

LABEL_LENGTH = 200

LARGEST_IMAGE = 32 << 20
"""In bytes: what the largest message holds by default. A line that says more would have all of it in memory at once."""

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReadIndex:
    """The batches of an index, and how many of its lines are damaged."""

    batches: tuple[ShardBatch, ...]
    attempt: int
    """Of the session: all images of a shard belong to one."""
    damaged: int
    """Lines that cannot be parsed, that the database could not hold, that point outside the shard or to more than an
    image, or that are more than it has room for."""
    labels: Mapping[int, str] = field(default_factory=dict)
    """The names of the classes that lines name, by number."""


def read_index(index: bytes, key: str, shard_id: int = 0, *, end: int) -> ReadIndex:
    """Return the batches of an index whose shard has images up to `end`.

    All are of the session and the attempt in the shard's key, whatever the lines say: they name these for
    people who read a shard elsewhere. Whoever may write to a store decides what is shown of a session, so a
    shard copied under another session's key belongs to that session. A key without an attempt is that of an
    older bridge, which named it nowhere else either, or somebody's own, whose first line then decides.
    """
    session_id = key.partition("/")[0]
    lines = index.splitlines()
    possible = lines[: end // SMALLEST_MEMBERS]
    found = [line for line in map(_line, possible) if line is not None and _is_sound(line, end)]
    groups: dict[object, list[Line]] = {}
    for line in found:
        groups.setdefault(_batch_key(line), []).append(line)
    attempt = attempt_in(key) or _attempt(found)
    batches = [_batch(group, session_id, attempt, shard_id) for group in groups.values()]
    return ReadIndex(tuple(batches), attempt, len(lines) - len(found), _labels(found))


def _line(text: bytes) -> Line | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _attempt(lines: list[Line]) -> int:
    """Return the attempt that the first line names, the first one where it names none."""
    attempt = lines[0].get("attempt") if lines else None
    return attempt if type(attempt) is int and attempt in ATTEMPTS else 1


def _labels(lines: Iterable[Line]) -> dict[int, str]:
    """Return the names of classes; those of numbers that no list of names reaches, and long ones, are left out."""
    return {
        line[f"{kind}_class"]: label
        for line in lines
        for kind in ("predicted", "true")
        if isinstance(label := line.get(f"{kind}_label"), str)
        and len(label) <= LABEL_LENGTH
        and is_in(line.get(f"{kind}_class"), CLASSES)
    }


def _is_sound(line: Line, end: int) -> bool:
    """Return whether every value is one that a bridge writes."""
    name, offset = line.get("name"), line.get("offset")
    return (
        isinstance(name, str)
        and NAME.fullmatch(name) is not None
        and all(is_in(line.get(key), UINT32) for key in ("epoch", "batch_idx", "index"))
        and is_in(line.get("received_ms"), MILLISECONDS)
        and is_in(offset, range(end))
        and is_in(line.get("length"), range(1, min(end - int(offset or 0), LARGEST_IMAGE) + 1))
        and all(_is_class(line.get(key)) for key in ("predicted_class", "true_class"))
        and all(_is_number(line.get(key)) for key in ("confidence", "batch_loss"))
    )


def _is_class(value: object) -> bool:
    return value is None or is_in(value, INT32)


def _is_number(value: object) -> bool:
    return value is None or type(value) is float or is_in(value, MILLISECONDS)


def _batch_key(line: Line) -> tuple[str, str | None, int, int]:
    """Return what the lines of one batch share."""
    match = NAME.fullmatch(line["name"])
    assert match is not None  # noqa: S101 -- `_is_sound` has said so
    return match[1], match[2], line["epoch"], line["batch_idx"]


def _batch(lines: list[Line], session_id: str, attempt: int, shard_id: int) -> ShardBatch:
    first = lines[0]
    images = {line["index"]: line for line in lines}
    return ShardBatch(
        shard_id,
        session_id,
        first["epoch"],
        first["batch_idx"],
        first["received_ms"],
        _loss(first),
        tuple(_images(images.values())),
        attempt,
    )


def _loss(line: Line) -> float | None:
    """Return the loss of a batch; in shards it is null both where it was not finite and where it was not reported."""
    if line.get("loss_missing") is True:
        return None
    loss = line.get("batch_loss")
    return math.nan if loss is None else float(loss)


def _images(lines: Iterable[Line]) -> Iterator[ShardImage]:
    for line in lines:
        yield ShardImage(
            line["index"],
            line["offset"],
            line["length"],
            line.get("predicted_class"),
            finite(line.get("confidence")),
            line.get("true_class"),
        )

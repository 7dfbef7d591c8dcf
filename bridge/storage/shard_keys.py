"""The keys of shards in an object store: whose a shard is, and when its first image was received."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

KEY = re.compile(
    r"(?P<session>[^/]+)/(?:[^/]+/)?(?P<ms>\d{13})(?:-a(?P<attempt>[1-9]\d{0,8})(?=-\w+-\w+\.))?-[^/]*\.tar"
)
"""Older bridges wrote keys without the attempt, whose bridge id may begin with an "a", too."""


@dataclass(frozen=True, slots=True)
class ShardKey:
    """What the key of a shard says."""

    session_id: str
    attempt: int | None
    """None: an older bridge wrote it."""
    first_ms: int
    """When its first image was received, in milliseconds since 1970."""


def shard_key(
    session_id: str, attempt: int, received: float, *, bridge_id: str, number: int
) -> str:
    """Return a key that sorts by time, and that no other bridge and no other shard of this one has."""
    day = datetime.fromtimestamp(received, UTC).date().isoformat()
    first_ms = int(received * 1000)
    return f"{session_id}/{day}/{first_ms:013d}-a{attempt}-{bridge_id}-{number:06d}.tar"


def parse_key(key: str) -> ShardKey | None:
    """Return what a key says; None for one that no bridge has written."""
    found = KEY.fullmatch(key)
    if found is None:
        return None
    attempt = found["attempt"]
    return ShardKey(found["session"], None if attempt is None else int(attempt), int(found["ms"]))


def last_attempts(keys: Iterable[str]) -> dict[str, int]:
    """Return the highest attempt of each session that keys name; those of older bridges count as the first."""
    found: dict[str, int] = {}
    for key in keys:
        parsed = parse_key(key)
        if parsed is not None:
            attempt = max(parsed.attempt or 1, found.get(parsed.session_id, 0))
            found[parsed.session_id] = attempt
    return found


def attempt_in(key: str) -> int | None:
    """Return the attempt that a key names, or None where it names none."""
    parsed = parse_key(key)
    return None if parsed is None else parsed.attempt
